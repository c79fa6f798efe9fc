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

// disturbers names the functions that may call a method which takes something from a cluster that runs, and the tables
// that may hold it. Those of the reconciler of KafkaClusters are reached from perform alone, and perform from act,
// which walks through the steps of the plan: nothing is disturbed but by the planner's word.
var disturbers = map[string][]string{
	"Delete": {
		"cluster/disturb.go:deletePod", "cluster/disturb.go:replaceDisk", "cluster/disturb.go:removePool",
		"cluster/disturb.go:orphanPool", "cluster/claims.go:deleteUnwanted",
		// Services, EndpointSlices and ConfigMaps that nobody uses, claims that never had a volume: decide.surplus
		"cluster/apply.go:prune",
		// Claims that never had a volume and, before there is a cluster, StatefulSets without their pods: decide.Remade.
		"cluster/remake.go:removeAsSeen",
		"cluster/walls.go:applyWalls", // NetworkPolicies that are no longer asked for, which only shut out: decide.Walls
	},
	"DeleteAllOf": {}, "Evict": {}, "EvictV1": {}, "SubResource": {},
	"deletePod":      {"cluster/disturb.go:restart", "cluster/disturb.go:replaceDisk"},
	"restart":        {"cluster/act.go:executors"},
	"orphanPool":     {"cluster/act.go:executors"},
	"deleteUnwanted": {"cluster/act.go:executors"},
	"replaceDisk":    {"cluster/act.go:executors"},
	"scalePool":      {"cluster/act.go:executors"},
	"removePool":     {"cluster/act.go:executors"},
	"applyPool":      {"cluster/act.go:executors"},
	"touch":          {"cluster/act.go:executors"},
	"remake":         {"cluster/act.go:act"},
	"sayFormat":      {"cluster/act.go:executors"},
	"askKafka":       {"cluster/act.go:executors"},
	"moveReplicas":   {"cluster/act.go:executors"},
	"Reassign":       {"moving/mover.go:Carry"},
	"Carry":          {"balancing/balancer.go:carry", "topic/move.go:move"},
	"executors":      {"cluster/act.go:perform"},
	"requests":       {"cluster/act.go:send"},
	"send":           {"cluster/act.go:askKafka"},
	"perform":        {"cluster/act.go:actInside"},
	"AlterBrokerConfig": {
		"cluster/act.go:requests",
		"moving/limit.go:Limit", // the two throttle rates alone, which the planner leaves to others
	},
	"ElectPreferredLeaders": {"cluster/act.go:requests"},
	"AddVoter":              {"cluster/act.go:requests"},
	"RemoveVoter":           {"cluster/act.go:requests"},
	"UnregisterBroker":      {"cluster/act.go:requests"},
	"SetMetadataVersion":    {"cluster/act.go:requests"},
}

func TestNothingIsDisturbedButByTheWordOfThePlanner(t *testing.T) {
	called := map[string]bool{}
	for _, path := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			name, uses := usedBy(declared)
			caller := filepath.ToSlash(path) + ":" + name
			for _, method := range uses {
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

// isOfSlices tells whether a call is of the package slices, which disturbs nobody.
func isOfSlices(selector *ast.SelectorExpr) bool {
	of, ok := selector.X.(*ast.Ident)
	return ok && of.Name == "slices"
}

// usedBy returns the name of a function or a table and the methods that it calls or holds. Tables of functions count by
// their own names, and so do those who use them.
func usedBy(declared ast.Decl) (name string, uses []string) {
	switch d := declared.(type) {
	case *ast.FuncDecl:
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if selector, ok := n.Fun.(*ast.SelectorExpr); ok && !isOfSlices(selector) {
					uses = append(uses, selector.Sel.Name)
				}
			case *ast.IndexExpr:
				if table, ok := n.X.(*ast.Ident); ok {
					uses = append(uses, table.Name)
				}
			}
			return true
		})
		return d.Name.Name, uses
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok || d.Tok != token.VAR {
				continue
			}
			name = value.Names[0].Name
			for _, held := range value.Values {
				ast.Inspect(held, func(n ast.Node) bool {
					if selector, ok := n.(*ast.SelectorExpr); ok {
						uses = append(uses, selector.Sel.Name)
					}
					return true
				})
			}
		}
	}
	return name, uses
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
