package plainauth

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// # Files in parts
//
// The users file and the list of certificates each may stand in up to MaxParts files, because a Secret holds 1 MiB. A
// further one has the first one's name, a dash and its number, from 1 on, stands beside it, and is of the same format.
// The second line of the first file says how many there are:
//
//	#files <number>
//
// Without it there is one. The class reads no file that does not count: so an operator of before there were several,
// which writes the first file alone and without that line, has the others out with it, and nobody logs in by what it
// does not know.
//
// A name stands in one file. Where it stands in several, as while a broker has read one and not yet another, the first
// of them counts.

// MaxParts is in how many files the users, and the certificates, may stand.
const MaxParts = 8

const partsMark = "#files "

// PartName is the name of a part of a file; 0 is the first one.
func PartName(first string, part int) string {
	if part == 0 {
		return first
	}
	return first + "-" + strconv.Itoa(part)
}

// InParts is a first file that says how many count.
func InParts(first []byte, parts int) []byte {
	head, rest := cutLine(first)
	if bytes.HasPrefix(rest, []byte(partsMark)) {
		_, rest = cutLine(rest)
	}
	if parts < 2 {
		return slices.Concat(head, rest)
	}
	return slices.Concat(head, fmt.Appendf(nil, "%s%d\n", partsMark, parts), rest)
}

// PartsOf is how many files count, as the first one says.
func PartsOf(first []byte) int {
	_, rest := cutLine(first)
	line, _ := cutLine(rest)
	text, is := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), partsMark)
	if n, err := strconv.Atoi(text); is && err == nil && n >= 2 && n <= MaxParts && text == strconv.Itoa(n) &&
		bytes.HasSuffix(line, []byte("\n")) {
		return n
	}
	return 1
}

func cutLine(file []byte) (line, rest []byte) {
	end := bytes.IndexByte(file, '\n') + 1
	if end == 0 {
		end = len(file)
	}
	return file[:end:end], file[end:]
}
