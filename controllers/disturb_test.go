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
		"kafkacluster_disturb.go:deletePod", "kafkacluster_disturb.go:replaceDisk", "kafkacluster_disturb.go:removePool",
		"kafkacluster_apply.go:prune", // Services and ConfigMaps that nobody uses
	},
	"DeleteAllOf": {}, "Evict": {}, "EvictV1": {}, "SubResource": {},
	"deletePod":   {"kafkacluster_disturb.go:restart", "kafkacluster_disturb.go:replaceDisk"},
	"restart":     {"kafkacluster_act.go:perform"},
	"replaceDisk": {"kafkacluster_act.go:perform"},
	"shrinkPool":  {"kafkacluster_act.go:perform"},
	"removePool":  {"kafkacluster_act.go:perform"},
	"applyPool":   {"kafkacluster_act.go:perform"},
	"sayFormat":   {"kafkacluster_act.go:perform"},
	"askKafka":    {"kafkacluster_act.go:perform"},
	"perform":     {"kafkacluster_act.go:act"},
	"AlterBrokerConfig": {
		"kafkacluster_act.go:askKafka",
		"kafkatopic_move.go:limit", // the two throttle rates alone, which the planner leaves to others
	},
	"ElectPreferredLeaders": {"kafkacluster_act.go:askKafka"},
	"AddVoter":              {"kafkacluster_act.go:askKafka"},
	"RemoveVoter":           {"kafkacluster_act.go:askKafka"},
	"UnregisterBroker":      {"kafkacluster_act.go:askKafka"},
	"SetMetadataVersion":    {"kafkacluster_act.go:askKafka"},
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
			caller := filepath.Base(path) + ":" + f.Name.Name
			for _, method := range calls(f) {
				allowed, disturbs := disturbers[method]
				if !disturbs || !ast.IsExported(method) && filepath.Dir(path) != "." {
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
// requests on.
func sources(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, root := range []string{".", "../internal", "../main.go"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path == filepath.Join("..", "internal", "kafka"):
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
