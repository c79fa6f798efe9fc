package plainauth

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// # Files in parts
//
// The users file and the list of certificates each may stand in up to MaxParts files, because a Secret holds 1 MiB. A
// further one has the first one's name, a dash and its number, from 1 on, stands beside it, and is of the same format.
// The second line of the first file has a word for each further one, in their order, and the second line of a further
// one has its own:
//
//	#files <word> ...
//
// A word is 16 lower-case hexadecimal digits. The class reads a further file only while both say the same word: so an
// operator of before there were several, which writes the first file alone and without that line, has the others out
// with it, and nobody logs in by what it does not know. A further file that has not counted gets a new word before it
// does. What stood in it before lets nobody in then, in whatever order the files reach a broker, and whoever wrote it.
//
// A name stands in one file. Where it stands in several, as while a broker has read one and not yet another, the first
// of them counts.

// MaxParts is in how many files the users, and the certificates, may stand.
const MaxParts = 8

// WordBytes is of how many bytes a word is made.
const WordBytes = 8

var words = regexp.MustCompile(`^#files((?: [0-9a-f]{16}){1,7})\n$`)

const partsMark = "#files "

// PartName is the name of a part of a file; 0 is the first one.
func PartName(first string, part int) string {
	if part == 0 {
		return first
	}
	return first + "-" + strconv.Itoa(part)
}

// Worded is a file with some words: the first one with those of all that count beside it, a further one with its own.
func Worded(file []byte, words ...string) []byte {
	head, rest := cutLine(file)
	if bytes.HasPrefix(rest, []byte(partsMark)) {
		_, rest = cutLine(rest)
	}
	if len(words) == 0 {
		return slices.Concat(head, rest)
	}
	return slices.Concat(head, []byte(partsMark+strings.Join(words, " ")+"\n"), rest)
}

// Words are those of a file; none = it says none, or nothing that makes sense.
func Words(file []byte) []string {
	_, rest := cutLine(file)
	line, _ := cutLine(rest)
	if match := words.FindSubmatch(line); match != nil {
		return strings.Fields(string(match[1]))
	}
	return nil
}

// Counts tells whether a further file counts by what the first one says.
func Counts(first, further []byte, part int) bool {
	said, own := Words(first), Words(further)
	return part >= 1 && part <= len(said) && len(own) == 1 && own[0] == said[part-1]
}

func cutLine(file []byte) (line, rest []byte) {
	end := bytes.IndexByte(file, '\n') + 1
	if end == 0 {
		end = len(file)
	}
	return file[:end:end], file[end:]
}
