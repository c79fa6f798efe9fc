// Package rooms holds the structure of the code to what docs/development.md and .golangci.yml say of it: which rooms
// there are, that imports point down the list, and who may not know whom.
package rooms

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/development.md and .golangci.yml anew")

const (
	repository = "../.."
	module     = "github.com/castellan-dev/castellan/"
)

// room is one package of the operator, or the files of one folder.
type room struct {
	path string
	what string
	// pure rooms have no client, no clock and no controller: what they need comes in as a value.
	pure bool
	// apart are rooms below it that it may not know all the same.
	apart []string
}

// house lists the rooms from the top down: each imports only what stands below it.
var house = []room{
	{path: "controllers", what: "the one door: starts every controller"},
	{path: "controllers/cluster", what: "own clusters: load, decide, record, act, report",
		apart: []string{"controllers/external", "controllers/topic", "controllers/user", "controllers/batch"}},
	{path: "controllers/balancing", what: "reads what a plan of moves takes, and carries out what was decided",
		apart: []string{"controllers/external", "controllers/topic", "controllers/user"}},
	{path: "controllers/external", what: "clusters of others: looks at them and changes nothing",
		apart: []string{"controllers/topic", "controllers/user", "controllers/batch"}},
	{path: "controllers/topic", what: "topics, many in one flush", apart: []string{"controllers/user"}},
	{path: "controllers/user", what: "users, many in one flush"},
	{path: "controllers/batch", what: "the engine that topics and users share: queue, flush, claims, consent, writing"},
	{path: "controllers/tenure", what: "which installation of the operator looks after a cluster",
		apart: []string{"controllers/batch"}},
	{path: "controllers/crds", what: "says where the CRDs and the operator are of different versions"},
	{path: "controllers/moving", what: "the one actor that moves replicas"},
	{
		path: "internal/decide",
		what: "one pass over a cluster as one call: what to record, write, disturb and tell",
		pure: true,
	},
	{path: "internal/report", what: "the status of a cluster", pure: true},
	{path: "internal/plan", what: "what disturbs a pod", pure: true, apart: []string{"internal/topics", "internal/users"}},
	{
		path: "internal/course",
		what: "how a plan of moves is carried out: when one is due, what begins, what is on record, how far it is",
		pure: true, apart: []string{"internal/topics", "internal/users"},
	},
	{path: "internal/topics", what: "what differs of topics, and what their status says", pure: true,
		apart: []string{"internal/users"}},
	{path: "internal/users", what: "what differs of users, their Secrets, the password file", pure: true},
	{
		path: "internal/moves",
		what: "what moves a replica: placement, order, budget, throttle, whose move it is",
		pure: true,
	},
	{path: "internal/observe", what: "live objects to an observation", pure: true},
	{path: "internal/render", what: "the model to Kubernetes objects", pure: true},
	{path: "internal/resolve", what: "a spec to the model; every rule about a spec", pure: true},
	{path: "internal/identity", what: "what a cluster is given once in its life", pure: true},
	{path: "internal/probe", what: "the subcommand with which people look from where their client is"},
	{path: "internal/reach/dial", what: "walks the way to a broker step by step, and remembers what came of it"},
	{path: "internal/jwks/fetch", what: "brings the keys of token issuers from where they are published, again and again"},
	{path: "internal/connect", what: "connections to Kafka, and the Secrets for them"},
	{path: "internal/external", what: "how clusters of others are reached, and what their answers mean", pure: true},
	{path: "internal/claim", what: "which of several objects holds a name, and whom a cluster admits", pure: true},
	{path: "internal/provided", what: "certificates that users provide for listeners, and whom clients trust", pure: true},
	{path: "internal/exposure", what: "the table of the ways in which a listener is reached", pure: true},
	{path: "internal/mechanism", what: "the table of the ways in which users log in", pure: true},
	{path: "internal/model", what: "the vocabulary: what a resolved cluster is, and what is seen of it", pure: true},
	{path: "internal/balance", what: "which replicas should be elsewhere so that data lies evenly", pure: true},
	{path: "internal/kafka/pool", what: "one connection a cluster, and when to try again"},
	{path: "internal/kafka/client", what: "the one place that speaks Kafka's protocol"},
	{path: "internal/kafka/wire", what: "one broker asked over one open connection, to look at the way there"},
	{path: "internal/kafka", what: "Kafka's words, and the port"},
	{path: "internal/apply", what: "server-side apply that writes only what differs"},
	{path: "internal/status", what: "conditions as kstatus has them", pure: true},
	{path: "internal/version", what: "the catalogue of Kafka's versions", pure: true},
	{path: "internal/reach", what: "the steps of the way to a broker, what fails in each, and the cure", pure: true},
	{path: "internal/verdict", what: "why something is not as asked for", pure: true},
	{
		path: "internal/plainauth",
		what: "the password file for PLAIN, and the class that reads it in the broker",
		pure: true,
	},
	{path: "internal/jwks", what: "which public keys of a token issuer brokers may believe", pure: true},
	{path: "internal/pki", what: "certificates", pure: true},
	{path: "internal/metricsauth", what: "who may read the metrics"},
	{path: "internal/memory", what: "how much of the machine's memory the operator keeps"},
	{path: "api/v1alpha1", what: "the three kinds"},
}

// helpers are packages that only tests import.
var helpers = []string{"controllers/controllertest", "internal/kafka/kafkatest", "internal/reach/reachtest"}

// impure is what no pure room imports.
var impure = []string{
	"sigs.k8s.io/controller-runtime",
	"k8s.io/client-go",
	"github.com/twmb/franz-go",
	"net/http",
	"os/exec",
}

// kafkaClients may open clients to Kafka.
var kafkaClients = []string{"internal/connect", "internal/kafka/pool", "internal/kafka/client"}

// importsOf lists what the files of a folder import, tests left out: other rooms without the module, and foreign
// packages.
func importsOf(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			seen[strings.TrimPrefix(strings.Trim(i.Path.Value, `"`), module)] = true
		}
	}
	var imports []string
	for path := range seen {
		imports = append(imports, path)
	}
	slices.Sort(imports)
	return imports
}

func place(path string) int {
	return slices.IndexFunc(house, func(r room) bool { return r.path == path })
}

func TestEveryPackageOfTheOperatorIsARoom(t *testing.T) {
	for _, top := range []string{"api", "controllers", "internal"} {
		err := filepath.WalkDir(filepath.Join(repository, top), func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			folder, err := filepath.Rel(repository, path)
			if err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(path, "*.go"))
			if err != nil {
				return err
			}
			files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
			if len(files) > 24 {
				t.Errorf("%s has %d files: there is a second room in it", folder, len(files))
			}
			if len(files) > 0 && place(folder) < 0 && !slices.Contains(helpers, folder) {
				t.Errorf("%s is no room: give it a place in the house, and a sentence", folder)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for n, r := range house {
		imports := importsOf(t, r.path)
		if len(imports) == 0 {
			t.Errorf("%s imports nothing: is it there?", r.path)
		}
		for _, path := range imports {
			if m := place(path); m >= 0 && m <= n {
				t.Errorf("%s imports %s, which stands above it", r.path, path)
			}
			if slices.Contains(r.apart, path) {
				t.Errorf("%s imports %s: the two are apart", r.path, path)
			}
			if slices.Contains(helpers, path) {
				t.Errorf("%s imports %s, which is for tests", r.path, path)
			}
			opens := path == "internal/kafka/pool" || path == "internal/kafka/client"
			if opens && !slices.Contains(kafkaClients, r.path) {
				t.Errorf("%s imports %s: only internal/connect opens connections", r.path, path)
			}
			isImpure := slices.ContainsFunc(impure, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
			if r.pure && isImpure {
				t.Errorf("%s imports %s: the room is pure, and what it needs comes in as a value", r.path, path)
			}
		}
	}
}

func TestPureRoomsHaveNoClock(t *testing.T) {
	for _, r := range house {
		if !r.pure {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(repository, r.path, "*.go"))
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(path, "_test.go") && strings.Contains(string(text), "time.Now(") {
				t.Errorf("%s reads the clock: the time is an argument", path)
			}
		}
	}
}

// list prints the rooms, a line each.
func list() string {
	var b strings.Builder
	b.WriteString("```\n")
	for _, r := range house {
		pure := ""
		if r.pure {
			pure = "; pure"
		}
		fmt.Fprintf(&b, "%-24s %s%s\n", r.path, r.what, pure)
	}
	return b.String() + "```\n"
}

// picture draws the imports. An arrow that follows from others is left out.
func picture(t *testing.T) string {
	t.Helper()
	below := map[string][]string{}
	for _, r := range house {
		for _, path := range importsOf(t, r.path) {
			if place(path) >= 0 {
				below[r.path] = append(below[r.path], path)
			}
		}
	}
	var reaches func(from, to string) bool
	reaches = func(from, to string) bool {
		return slices.ContainsFunc(below[from], func(next string) bool { return next == to || reaches(next, to) })
	}
	name := func(path string) string { return strings.NewReplacer("/", "_", "internal/", "").Replace(path) }
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart TD\n")
	for _, r := range house {
		shape := "[%q]"
		if r.pure {
			shape = "([%q])"
		}
		fmt.Fprintf(&b, "  %s"+shape+"\n", name(r.path), strings.TrimPrefix(r.path, "internal/"))
	}
	for _, r := range house {
		for _, to := range below[r.path] {
			if !slices.ContainsFunc(below[r.path], func(next string) bool { return next != to && reaches(next, to) }) {
				fmt.Fprintf(&b, "  %s --> %s\n", name(r.path), name(to))
			}
		}
	}
	return b.String() + "```\n"
}

// walls prints the rules by which the linter holds every arrow: of the operator's own packages a room may import those
// that it imports now, and no other. A new arrow shows in the diff of .golangci.yml.
func walls(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	own, foreign := "deny: &own\n          - {pkg: "+strings.TrimSuffix(
		module,
		"/",
	)+", desc: \"imports point down: docs/development.md, Rooms\"}\n", "deny: &pure\n"
	foreign += "          - {pkg: " + strings.TrimSuffix(
		module,
		"/",
	) + ", desc: \"imports point down: docs/development.md, Rooms\"}\n"
	for _, path := range impure {
		foreign += "          - {pkg: " + path + ", desc: \"this room is pure: what it needs comes in as a value\"}\n"
	}
	for _, r := range house {
		var allowed []string
		for _, path := range importsOf(t, r.path) {
			if place(path) >= 0 {
				allowed = append(allowed, module+path+"$")
			}
		}
		fmt.Fprintf(&b, "        %s:\n          list-mode: lax\n", strings.ReplaceAll(r.path, "/", "-"))
		fmt.Fprintf(&b, "          files: [%q, \"!$test\"]\n", "**/"+r.path+"/*.go")
		fmt.Fprintf(&b, "          allow: [%s]\n", strings.Join(allowed, ", "))
		if r.pure {
			b.WriteString("          " + foreign)
			foreign = "deny: *pure\n"
		} else {
			b.WriteString("          " + own)
			own = "deny: *own\n"
		}
	}
	return b.String()
}

func TestDocumentAndLinterShowTheRoomsAsTheyAre(t *testing.T) {
	for _, c := range []struct{ file, begin, end, want string }{
		{"docs/development.md", "<!-- rooms -->\n", "<!-- end of rooms -->", list() + "\n" + picture(t)},
		{".golangci.yml", "        # rooms\n", "        # end of rooms", walls(t)},
	} {
		path := filepath.Join(repository, c.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, found := strings.Cut(string(text), c.begin)
		have, after, ended := strings.Cut(rest, c.end)
		if !found || !ended {
			t.Fatalf("%s has no place between %q and %q", c.file, c.begin, c.end)
		}
		switch {
		case have == c.want:
		case *update:
			if err := os.WriteFile(path, []byte(before+c.begin+c.want+c.end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s does not show the rooms as they are: go test ./test/rooms -update", c.file)
		}
	}
}
