package chart

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	gatewayAPI = "gateway.networking.k8s.io/"
	sliced     = "discovery.k8s.io/endpointslices"
)

// Kinds of objects that calls reach through an interface.
var (
	applied = []string{"services", "configmaps", "secrets", "apps/statefulsets", "policy/poddisruptionbudgets",
		"networking.k8s.io/networkpolicies", sliced}
	ofNodes  = append([]string{"persistentvolumeclaims"}, applied...)
	patched  = append([]string{"pods"}, ofNodes...)
	routes   = []string{gatewayAPI + "tlsroutes", gatewayAPI + "tcproutes"}
	listened = append([]string{"apps/controllerrevisions"}, patched...)
	asked    = []string{"kafka.castellan.dev/kafkatopics", "kafka.castellan.dev/kafkausers"}
)

// reached says which resources the calls are for whose objects have no type that one could read off.
var reached = map[string][]string{
	"controllers/batch/namespaces.go:admission Get":          {"namespaces"},
	"controllers/batch/namespaces.go:Goes Get":               {"namespaces"},
	"controllers/batch/retain.go:defaultOf Get":              {"namespaces"},
	"controllers/batch/reconciler.go:Controller Watches":     asked,
	"controllers/batch/writer.go:PatchMetadata Patch":        asked,
	"controllers/batch/writer.go:DropAnnotation Patch":       asked,
	"controllers/batch/writer.go:Release Patch":              asked,
	"controllers/batch/writer.go:patchStatus Status().Patch": asked,
	"controllers/batch/writer.go:Create Create":              {"secrets"},
	"controllers/batch/writer.go:Update Update":              {"secrets"},
	"controllers/user/provided.go:readProvided Get":          {"secrets"}, // and whether there is one, by its metadata
	"controllers/cluster/apply.go:prune Delete": append(
		[]string{"services", "configmaps", "persistentvolumeclaims", sliced}, routes...), // decide: surplus
	"controllers/cluster/routes.go:lookAtGateways Get":      {gatewayAPI + "gateways", gatewayAPI + "listenersets"},
	"controllers/cluster/routes.go:readRoutes List":         routes,
	"controllers/cluster/routes.go:lookForRoute Get":        routes,
	"controllers/cluster/apply.go:patch Patch":              patched,
	"controllers/cluster/load.go:readLive List":             listened,
	"controllers/cluster/lookup.go:look Get":                ofNodes,
	"controllers/cluster/remake.go:removeAsSeen Delete":     {"apps/statefulsets", "persistentvolumeclaims"},
	"controllers/cluster/setup.go:SetupWithManager Watches": listened,
	"internal/apply/apply.go:Apply Apply":                   append(routes, applied...),
	"controllers/cluster/walls.go:applyWalls Delete":        {"networking.k8s.io/networkpolicies"},
}

// libraries are what the operator needs for calls that are not its own.
var libraries = map[string]string{
	"events.k8s.io/events create":                         "the recorder of events",
	"events.k8s.io/events patch":                          "the recorder counts an event that comes again",
	"kafka.castellan.dev/kafkaclusters/finalizers update": "an owner that blocks the deletion of others",
	"kafka.castellan.dev/kafkausers/finalizers update":    "as for clusters",
}

// pastTheCache are the names of readers that ask the API server. All others read through the cache, which lists and
// watches whatever is read of it.
var pastTheCache = []string{"APIReader", "apiReader", "Live", "fresh"}

// verbsOf are the verbs that a method of a client or of a controller's builder needs; none = it asks nothing.
func verbsOf(method, receiver string) []string {
	switch method {
	case "Get", "List":
		if slices.Contains(pastTheCache, receiver[strings.LastIndex(receiver, ".")+1:]) {
			return []string{strings.ToLower(method)}
		}
		return []string{"list", "watch"}
	case "For", "Owns", "Watches", "WatchesMetadata", "Watch":
		return []string{"list", "watch"}
	case "Apply":
		return []string{"create", "patch"} // what is not there is created
	case "Create", "Update", "Patch", "Delete", "DeleteAllOf":
		return []string{strings.ToLower(method)}
	}
	return nil
}

// ofOwnClusters are the calls that are made for clusters of the operator's own alone; a prefix is enough.
var ofOwnClusters = []string{
	"controllers/cluster/", "internal/apply/", "controllers/user/plain.go:touch ",
	"controllers/user/plain.go:brokerPods ", "kafka.castellan.dev/kafkaclusters/finalizers ",
}

func isOfOwnClusters(where string) bool {
	return slices.ContainsFunc(ofOwnClusters, func(prefix string) bool { return strings.HasPrefix(where, prefix) })
}

// withReadNodes are the calls that need readNodes=true of the chart, which no release asks for by itself.
const withReadNodes = "controllers/cluster/hosts.go:"

// Whatever the operator's code asks of the API server is granted, and nothing else.
func TestTheVerbsThatAreGrantedAreThoseThatTheCodeUses(t *testing.T) {
	all, external := map[string][]string{}, map[string][]string{}
	gateways, endpoints := map[string][]string{}, map[string][]string{}
	unread := maps.Clone(reached)
	use := func(permission, where, why string) {
		if strings.HasPrefix(where, withReadNodes) {
			return
		}
		if strings.HasPrefix(permission, gatewayAPI) {
			gateways[permission] = append(gateways[permission], why)
			return
		}
		if strings.HasPrefix(permission, sliced) {
			endpoints[permission] = append(endpoints[permission], why)
			return
		}
		all[permission] = append(all[permission], why)
		if !isOfOwnClusters(where) {
			external[permission] = append(external[permission], why)
		}
	}
	for permission, why := range libraries {
		use(permission, permission, why)
	}
	for _, c := range callsOfClients(t) {
		resources := c.resources
		if known, told := reached[c.where]; told {
			resources = known
			delete(unread, c.where)
		}
		if len(resources) == 0 {
			t.Errorf("%s is for an object of no type that one can read off; say in this test what it reaches", c.where)
		}
		for _, resource := range resources {
			for _, verb := range c.verbs {
				use(resource+c.subresource+" "+verb, c.where, c.where)
			}
		}
	}
	for where := range unread {
		t.Errorf("%s is no call of a client any more; take it out of this test", where)
	}
	for path, uses := range map[string]map[string][]string{
		"config/rbac/role.yaml": all, "charts/castellan/files/rules-external.yaml": external,
		"charts/castellan/files/rules-gateway.yaml": gateways, "charts/castellan/files/rules-endpointslices.yaml": endpoints,
	} {
		granted := grantedBy(t, path)
		for _, p := range granted {
			if uses[p] == nil {
				t.Errorf("%s: %q is granted, and no code uses it; take it out of the rbac markers in controllers/", path, p)
			}
		}
		for p, where := range uses {
			if !slices.Contains(granted, p) {
				t.Errorf("%s: %q is not granted, and used by %q", path, p, where)
			}
		}
	}
}

func grantedBy(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(content, []byte("- ")) {
		content = append([]byte("rules:\n"), content...)
	}
	var role object
	if err := yaml.Unmarshal(content, &role); err != nil {
		t.Fatal(err)
	}
	role["kind"] = "Role" // the chart's files are the rules alone
	return permissions(t, map[string]object{path: role})[path]
}

// clientCall is one use of a client.
type clientCall struct {
	where       string   // such as controllers/cluster/disturb.go:deletePod Delete
	resources   []string // as the type of its object says; none = an interface
	subresource string
	verbs       []string
}

const module = "github.com/castellan-dev/castellan"

// callsOfClients finds them in all packages of the operator, by their types.
func callsOfClients(t *testing.T) []clientCall {
	t.Helper()
	command := exec.Command("go", "list", "-export", "-deps", "-f",
		"{{.ImportPath}}\t{{.Export}}\t{{.Dir}}{{range .GoFiles}}\t{{.}}{{end}}", ".")
	command.Dir, command.Stderr = root, os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("list the operator's packages: %v", err)
	}
	exports, ours := map[string]string{}, map[string][]string{}
	for line := range bytes.Lines(out) {
		fields := strings.Split(strings.TrimSpace(string(line)), "\t")
		exports[fields[0]] = fields[1]
		if fields[0] == module || strings.HasPrefix(fields[0], module+"/") {
			ours[fields[0]] = fields[2:]
		}
	}
	set := token.NewFileSet()
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var found []clientCall
	for _, path := range slices.Sorted(maps.Keys(ours)) {
		var files []*ast.File
		for _, name := range ours[path][1:] {
			file, err := parser.ParseFile(set, filepath.Join(ours[path][0], name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		info := &types.Info{Selections: map[*ast.SelectorExpr]*types.Selection{}, Types: map[ast.Expr]types.TypeAndValue{}}
		if _, err := (&types.Config{Importer: imports}).Check(path, set, files, info); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for i, file := range files {
			name := strings.TrimPrefix(strings.TrimPrefix(path+"/"+ours[path][i+1], module), "/")
			for _, declared := range file.Decls {
				found = append(found, callsIn(info, name, declared)...)
			}
		}
	}
	return found
}

func callsIn(info *types.Info, file string, declared ast.Decl) []clientCall {
	where := file + ":"
	if function, is := declared.(*ast.FuncDecl); is {
		where += function.Name.Name
	}
	var found []clientCall
	arguments := map[ast.Expr][]ast.Expr{}
	ast.Inspect(declared, func(n ast.Node) bool {
		if expression, is := n.(*ast.CallExpr); is {
			arguments[expression.Fun] = expression.Args // before its selector is come to
		}
		selector, is := n.(*ast.SelectorExpr)
		if !is {
			return true
		}
		selection := info.Selections[selector]
		if selection == nil || selection.Obj().Pkg() == nil {
			return true
		}
		method, receiver := selection.Obj().Name(), types.ExprString(selector.X)
		switch selection.Obj().Pkg().Path() {
		case "sigs.k8s.io/controller-runtime/pkg/client", "sigs.k8s.io/controller-runtime/pkg/builder":
		default:
			return true
		}
		c := clientCall{where: where + " " + method, verbs: verbsOf(method, receiver)}
		if len(c.verbs) == 0 {
			return true
		}
		if strings.HasSuffix(receiver, ".Status()") {
			c.where, c.subresource = where+" Status()."+method, "/status"
		}
		for _, argument := range arguments[selector] {
			if resource := resourceOf(info.Types[argument].Type); resource != "" {
				c.resources = []string{resource}
			}
		}
		found = append(found, c)
		return true
	})
	return found
}

// resourceOf is the resource of a type such as *v1.Pod or *v1.PodList; empty = it is of none.
func resourceOf(of types.Type) string {
	pointer, is := of.(*types.Pointer)
	if !is {
		return ""
	}
	named, is := pointer.Elem().(*types.Named)
	if !is || named.Obj().Pkg() == nil {
		return ""
	}
	resource := strings.ToLower(strings.TrimSuffix(named.Obj().Name(), "List")) + "s"
	switch path := named.Obj().Pkg().Path(); path {
	case module + "/api/v1alpha1":
		return "kafka.castellan.dev/" + resource
	case "k8s.io/api/core/v1":
		return resource
	case "k8s.io/api/apps/v1", "k8s.io/api/policy/v1":
		return strings.Split(path, "/")[2] + "/" + resource
	case "k8s.io/api/discovery/v1":
		return "discovery.k8s.io/" + resource
	}
	return ""
}
