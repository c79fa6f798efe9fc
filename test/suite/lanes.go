// Package suite holds what the end-to-end tests are run by: which case belongs to which lane, how a lane is cut into
// pieces, how long anything may take on this machine, a way to the API server that outlives its errors, and the table
// of durations.
// Nothing here knows what a case proves.
package suite

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strings"
)

// Lane says when a case runs.
type Lane string

// The lanes, by the word with which a case begins.
const (
	// Promise is the first lane: the cases that hold each promise once, in every `make test`.
	Promise Lane = "promise"
	// Long is what `make test-all` runs besides.
	Long Lane = "long"
)

// Case is an end-to-end test.
type Case struct {
	Name string
	Lane Lane
}

// Cases reads from the source which cases a folder has, in the order in which go test runs them. A case says its lane
// in its first statement, promise(t) or long(t). It is an error when one does not.
func Cases(folder fs.FS) ([]Case, error) {
	files, err := fs.Glob(folder, "*_test.go")
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var cases []Case
	var faults []error
	for _, file := range files {
		source, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declaration := range parsed.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || !isTest(function) {
				continue
			}
			lane := laneOf(function)
			if lane == "" {
				faults = append(
					faults,
					fmt.Errorf("%s: %s says no lane: begin it with promise(t) or long(t)", file, function.Name.Name),
				)
			}
			cases = append(cases, Case{function.Name.Name, lane})
		}
	}
	return cases, errors.Join(faults...)
}

func isTest(function *ast.FuncDecl) bool {
	name, found := strings.CutPrefix(function.Name.Name, "Test")
	return found && name != "Main" && function.Recv == nil
}

func laneOf(function *ast.FuncDecl) Lane {
	if len(function.Body.List) == 0 {
		return ""
	}
	statement, ok := function.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return ""
	}
	call, ok := statement.X.(*ast.CallExpr)
	if !ok {
		return ""
	}
	if word, ok := call.Fun.(*ast.Ident); ok && slices.Contains([]Lane{Promise, Long}, Lane(word.Name)) {
		return Lane(word.Name)
	}
	return ""
}

// Select returns the names of the cases of a lane, or of all lanes when it is empty, that are in a piece: "2/3" is the
// second of three, and an empty piece means all. Neighbours stay together, because they share clusters.
func Select(cases []Case, lane Lane, piece string) ([]string, error) {
	if lane != "" && lane != Promise && lane != Long {
		return nil, fmt.Errorf("there is no lane %q: it is %s or %s", lane, Promise, Long)
	}
	var names []string
	for _, c := range cases {
		if lane == "" || c.Lane == lane {
			names = append(names, c.Name)
		}
	}
	if piece == "" {
		return names, nil
	}
	var i, n int
	if _, err := fmt.Sscanf(piece+" ", "%d/%d ", &i, &n); err != nil || i < 1 || i > n {
		return nil, fmt.Errorf("SHARD is %q: it is i/n, such as 2/3 for the second of three pieces", piece)
	}
	return names[(i-1)*len(names)/n : i*len(names)/n], nil
}

// SkipPattern is the value of -test.skip that leaves only the chosen cases; it keeps what is skipped already.
func SkipPattern(cases []Case, chosen []string, already string) string {
	var others []string
	for _, c := range cases {
		if !slices.Contains(chosen, c.Name) {
			others = append(others, c.Name)
		}
	}
	switch {
	case len(others) == 0:
		return already
	case already == "":
		return "^(" + strings.Join(others, "|") + ")$"
	}
	return already + "|^(" + strings.Join(others, "|") + ")$"
}
