package suite

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestEveryEndToEndCaseSaysItsLane(t *testing.T) {
	cases, err := Cases(os.DirFS("../e2e"))
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range []Lane{Promise, Long} {
		if names, err := Select(cases, lane, ""); err != nil || len(names) < 10 {
			t.Errorf("lane %s has %d cases (error %v)", lane, len(names), err)
		}
	}
}

const source = `package e2e

func TestMain(m *testing.M) { run(m) }

func TestOne(t *testing.T) {
	promise(t)
	work()
}

func TestTwo(t *testing.T) {
	long(t)
}

func helper(t *testing.T) { work() }
`

func folderOf(files map[string]string) fstest.MapFS {
	folder := fstest.MapFS{}
	for name, text := range files {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return folder
}

func TestCasesAreReadInTheOrderOfTheirFiles(t *testing.T) {
	got, err := Cases(folderOf(map[string]string{
		"b_test.go": source,
		"a_test.go": "package e2e\n\nfunc TestZero(t *testing.T) {\n\tlong(t)\n}\n",
		"c.go":      "package e2e\n\nfunc TestNone(t *testing.T) {}\n",
	}))
	want := []Case{{"TestZero", Long}, {"TestOne", Promise}, {"TestTwo", Long}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v (error %v), expected %v", got, err, want)
	}
}

func TestACaseWithoutALaneIsNamed(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":             "",
		"a lane that is none": "\tshort(t)\n",
		"a lane too late":     "\twork()\n\tpromise(t)\n",
		"a word, not a call":  "\tpromise := 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Cases(
				folderOf(map[string]string{"a_test.go": "package e2e\n\nfunc TestLost(t *testing.T) {\n" + body + "}\n"}),
			)
			if err == nil || !strings.Contains(err.Error(), "a_test.go: TestLost says no lane") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func someCases(n int) (cases []Case, names []string) {
	for i := range n {
		c := Case{fmt.Sprintf("TestCase%02d", i), []Lane{Promise, Long}[i%2]}
		cases, names = append(cases, c), append(names, c.Name)
	}
	return cases, names
}

func TestThePiecesTogetherAreTheWhole(t *testing.T) {
	cases, all := someCases(11)
	for n := 1; n <= 13; n++ {
		var got []string
		for i := 1; i <= n; i++ {
			part, err := Select(cases, "", fmt.Sprintf("%d/%d", i, n))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if !slices.Equal(got, all) {
			t.Errorf("%d pieces are %v", n, got)
		}
	}
}

func TestAPieceOrLaneThatIsNoneIsRefused(t *testing.T) {
	cases, _ := someCases(4)
	for _, piece := range []string{"0/3", "4/3", "3", "a/b", "1/0", "1/2x"} {
		if _, err := Select(cases, "", piece); err == nil {
			t.Errorf("%s is taken for a piece", piece)
		}
	}
	if _, err := Select(cases, "short", ""); err == nil {
		t.Error("short is taken for a lane")
	}
}

func TestOnlyTheChosenCasesAreNotSkipped(t *testing.T) {
	cases, all := someCases(4)
	for _, already := range []string{"", "Case03"} {
		pattern := regexp.MustCompile(SkipPattern(cases, []string{"TestCase01", "TestCase03"}, already))
		for _, name := range all {
			want := name != "TestCase01" && (name != "TestCase03" || already != "")
			if got := pattern.MatchString(name); got != want {
				t.Errorf("with -skip=%s, %s is skipped: %v", already, name, got)
			}
		}
	}
	if got := SkipPattern(cases, all, ""); got != "" {
		t.Errorf("all are chosen, and %s is skipped", got)
	}
}
