package plan

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestEveryKindOfStepHasACompleteRow(t *testing.T) {
	for _, name := range constants(t, "Kind") {
		if !slices.Contains(Kinds(), Kind(name)) {
			t.Errorf("kind %s has no row in the table", name)
		}
	}
	for _, row := range table {
		for _, column := range missing(row) {
			t.Errorf("the row of %s lacks the column %s", row.Kind, column)
		}
		if of := row.Kind.Row(); of.Trace != row.Trace {
			t.Errorf("%s has two rows", row.Kind)
		}
	}
}

// Without this the test above could walk the table and see nothing.
func TestARowThatLacksAColumnIsSeen(t *testing.T) {
	for _, whole := range []Kind{Restart, FinalizeVersion} {
		for _, field := range reflect.VisibleFields(reflect.TypeFor[Row]()) {
			row := whole.Row()
			switch field.Name {
			case "Kind":
				row.Kind = ""
			case "Trace":
				row.Trace = ""
			case "text":
				row.text = nil
			case "Act":
				row.Act = ""
			case "Request":
				if row.Request = (Request{}); row.Act != AskKafka {
					row.Request.Method = "AddVoter"
				}
			case "Event":
				row.Event.Reason = ""
			case "Expects":
				row.Expects = ""
			case "disruption":
				half := *row.disruption
				half.judged = nil
				row.disruption = &half
			default:
				t.Fatalf("say how a row can lack the new column %s", field.Name)
			}
			if len(missing(row)) == 0 {
				t.Errorf("nobody sees that the row of %s lacks its %s", whole, field.Name)
			}
		}
	}
}

// missing names the columns that a row lacks, or has in vain.
func missing(row Row) []string {
	var lacks []string
	v := reflect.ValueOf(row)
	for i := range v.NumField() {
		switch column := v.Type().Field(i).Name; column {
		case "Request":
			if row.Act == AskKafka {
				lacks = append(lacks, zeros(column, v.Field(i))...)
			} else if row.Request.Method != "" || row.Request.Field != nil {
				lacks = append(lacks, "Act, which must be AskKafka where there is a Request")
			}
		case "Event":
			if silent := row.Event.Type == NoEvent; silent != (row.Event.Reason == "") || row.Event.Type == "" {
				lacks = append(lacks, column)
			}
		case "disruption":
			if row.disruption != nil {
				lacks = append(lacks, zeros(column, v.Field(i).Elem())...)
			}
		default:
			if v.Field(i).IsZero() {
				lacks = append(lacks, column)
			}
		}
	}
	return lacks
}

func zeros(column string, v reflect.Value) []string {
	var lacks []string
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			lacks = append(lacks, column+"."+v.Type().Field(i).Name)
		}
	}
	return lacks
}

// What no row uses is known to no executor; what nobody declared is a slip of the pen.
func TestTheTableUsesEveryWordThatIsDeclared(t *testing.T) {
	used := map[string][]string{}
	for _, row := range table {
		used["Act"] = append(used["Act"], string(row.Act))
		used["EventType"] = append(used["EventType"], string(row.Event.Type))
		used["Expectation"] = append(used["Expectation"], string(row.Expects))
	}
	for columnType, words := range used {
		declared := constants(t, columnType)
		for _, word := range declared {
			if !slices.Contains(words, word) {
				t.Errorf("no row has the %s %s", columnType, word)
			}
		}
		for _, word := range words {
			if !slices.Contains(declared, word) {
				t.Errorf("a row has the %s %s, which is not declared", columnType, word)
			}
		}
	}
}

// constants are the values of the exported string constants of a type in this package.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !spec.Names[0].IsExported() || len(spec.Values) != 1 {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != typeName {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("there are no constants of type %s", typeName)
	}
	return values
}

func TestARequestIsAMethodOfKafkasPort(t *testing.T) {
	port := reflect.TypeFor[kafka.ClusterAdmin]()
	for _, row := range table {
		if row.Act != AskKafka {
			continue
		}
		if _, has := port.MethodByName(row.Request.Method); !has {
			t.Errorf("%s: kafka.ClusterAdmin has no method %s", row.Kind, row.Request.Method)
		}
	}
}

func TestARefusalIsTheFaultOfTheFieldThatAskedForIt(t *testing.T) {
	changes := []kafka.ConfigChange{{Key: "a"}, {Key: "b"}}
	for _, tt := range []struct {
		step  Step
		field string
	}{
		{Step{Kind: AlterConfig, Node: kafka.AllBrokers, Changes: changes}, "spec.config[a, b]"},
		{Step{Kind: AlterConfig, Node: 1000, Pool: "brk", Changes: changes[:1]}, "spec.pools[brk].config[a]"},
		{Step{Kind: Cordon, Node: 1003, Pool: "brk"}, "spec.pools[brk]"},
		{Step{Kind: Uncordon, Node: 1003, Pool: "brk"}, "spec.pools[brk]"},
		{Step{Kind: FinalizeVersion, Level: 30}, "spec.metadataVersion"},
		{Step{Kind: AddVoter, Pool: "ctl"}, ""},
		{Step{Kind: RemoveVoter, Pool: "ctl"}, ""},
		{Step{Kind: Unregister, Pool: "brk"}, ""},
		{Step{Kind: ElectLeaders}, ""},
	} {
		if field := tt.step.Kind.Row().Request.Field(tt.step); field != tt.field {
			t.Errorf("%s: field %q, want %q", tt.step, field, tt.field)
		}
	}
}

func TestStepsThatDisturbComeLast(t *testing.T) {
	disturbs := false
	for _, row := range table {
		if disturbs && row.disruption == nil {
			t.Errorf("%s disturbs nobody and stands behind kinds that do", row.Kind)
		}
		disturbs = disturbs || row.disruption != nil
	}
}

// The kind of a step can be told from its line, and some golden trace has a line of each.
func TestEveryKindOfStepIsToldInATrace(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	told := map[Kind]bool{}
	other := regexp.MustCompile(`^(hold|wait|pending): |^balancing\b|^\(`)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, line, _ = strings.Cut(strings.TrimSpace(line), "s  ")
			if line == "" || other.MatchString(line) {
				continue
			}
			kind := kindOfLine(line)
			if told[kind] = true; kind == "" {
				t.Errorf("%s: no kind of step is told as %q", path, line)
			}
		}
	}
	for _, kind := range Kinds() {
		if !told[kind] {
			t.Errorf("no golden trace tells of a step %s", kind)
		}
		if line := (Step{Kind: kind, Pool: "main"}).String(); kindOfLine(line) != kind {
			t.Errorf("%s is told as %q, which reads like a step %s", kind, line, kindOfLine(line))
		}
	}
}

// kindOfLine is the kind whose words are the longest that a line begins with.
func kindOfLine(line string) Kind {
	var found Row
	for _, row := range table {
		if rest, begins := strings.CutPrefix(line, row.Trace); begins &&
			strings.HasPrefix(strings.TrimPrefix(rest, ":"), " ") &&
			len(row.Trace) > len(found.Trace) {
			found = row
		}
	}
	return found.Kind
}

// A step of a kind that no plan has is told by its name.
func TestAKindWithoutARowIsToldByItsName(t *testing.T) {
	line := fmt.Sprint(Step{Kind: "Explode", Reasons: []string{"why not"}})
	if row := Kind("Explode").Row(); line != "Explode: why not" || row.Act != "" {
		t.Errorf("told as %q, done by %q", line, row.Act)
	}
}
