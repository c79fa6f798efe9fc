package controllers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// disturbers names the functions that may call a method which takes something from a cluster that runs. Those of the
// reconciler of KafkaClusters are reached from perform alone, and perform from act, which walks through the steps of
// the plan: nothing is disturbed but by the planner's word.
var disturbers = map[string][]string{
	"Delete": {
		"cluster/disturb.go:deletePod", "cluster/disturb.go:replaceDisk", "cluster/disturb.go:removePool",
		"cluster/apply.go:prune", // Services and ConfigMaps that nobody uses
	},
	"DeleteAllOf": {}, "Evict": {}, "EvictV1": {}, "SubResource": {},
	"deletePod":   {"cluster/disturb.go:restart", "cluster/disturb.go:replaceDisk"},
	"restart":     {"cluster/act.go:perform"},
	"replaceDisk": {"cluster/act.go:perform"},
	"shrinkPool":  {"cluster/act.go:perform"},
	"removePool":  {"cluster/act.go:perform"},
	"applyPool":   {"cluster/act.go:perform"},
	"sayFormat":   {"cluster/act.go:perform"},
	"askKafka":    {"cluster/act.go:perform"},
	"perform":     {"cluster/act.go:act"},
	"AlterBrokerConfig": {
		"cluster/act.go:askKafka",
		"moving/limit.go:Limit", // the two throttle rates alone, which the planner leaves to others
	},
	"ElectPreferredLeaders": {"cluster/act.go:askKafka"},
	"AddVoter":              {"cluster/act.go:askKafka"},
	"RemoveVoter":           {"cluster/act.go:askKafka"},
	"UnregisterBroker":      {"cluster/act.go:askKafka"},
	"SetMetadataVersion":    {"cluster/act.go:askKafka"},
}

func TestNothingIsDisturbedButByTheWordOfThePlanner(t *testing.T) {
	called := map[string]bool{}
	for _, path := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok {
				continue
			}
			caller := filepath.ToSlash(path) + ":" + f.Name.Name
			for _, method := range calls(f) {
				allowed, disturbs := disturbers[method]
				if !disturbs || !ast.IsExported(method) && filepath.Dir(path) != "cluster" {
					continue
				}
				called[method] = true
				if !slices.Contains(allowed, caller) {
					t.Errorf("%s calls %s: only %v may, so that the planner decides it", caller, method, allowed)
				}
			}
		}
	}
	for method, allowed := range disturbers {
		if len(allowed) > 0 && !called[method] {
			t.Errorf("nobody calls %s: it has another name now, and is watched no more", method)
		}
	}
}

// calls are the names of the methods that a function calls.
func calls(f *ast.FuncDecl) []string {
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
				names = append(names, selector.Sel.Name)
			}
		}
		return true
	})
	return names
}

// sources are the files of the operator that can reach a cluster: not the client itself, nor the pool that hands its
// requests on, nor the fakes of the tests.
func sources(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, root := range []string{".", "../internal", "../main.go"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (path == filepath.Join("..", "internal", "kafka") || path == "controllertest"):
				return filepath.SkipDir
			case !entry.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
				paths = append(paths, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}
