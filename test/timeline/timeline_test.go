package timeline

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// second is a moment of a story.
func second(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// restart tells one restart of a broker that takes so many seconds.
func restart(r *Record, begin, takes float64, name, rack string) {
	r.Live(name, name+"-1")
	r.See(second(begin), name, rack, Stopping)
	r.See(second(begin+takes*0.3), name, rack, Gone)
	r.See(second(begin+takes*0.35), name, rack, Starting)
	r.Live(name, name+"-2")
	r.See(second(begin+takes*0.8), name, rack, CatchingUp)
	r.See(second(begin+takes), name, rack, Serving)
}

// rolled is a roll of six brokers as it should be: one on trial, then the rest of its rack, then rack after rack.
func rolled() *Record {
	r := &Record{}
	for id := range 6 {
		r.See(0, fmt.Sprintf("main-%d", id), string("abc"[id%3]), Serving)
	}
	restart(r, 2, 10, "main-0", "a")
	restart(r, 13, 10, "main-3", "a")
	restart(r, 24, 10, "main-1", "b")
	restart(r, 24.5, 11, "main-4", "b")
	restart(r, 37, 10, "main-2", "c")
	restart(r, 37, 12, "main-5", "c")
	r.Mark(second(1.5), "queued.max.requests is changed")
	r.Mark(second(50), "the cluster is Ready")
	return r
}

func TestFactsOfARollRackByRack(t *testing.T) {
	r := rolled()
	if got := r.MostDown(); got.At != second(24.5) || !slices.Equal(got.Names, []string{"main-1", "main-4"}) {
		t.Errorf("most brokers at once: %v", got)
	}
	if got := r.MostRacksDown(); got.At != second(2) || !slices.Equal(got.Names, []string{"a"}) {
		t.Errorf("most racks at once: %v", got)
	}
	if r.Disturbed() != second(47) || r.Length() != second(50) {
		t.Errorf("disturbed for %s of %s", r.Disturbed(), r.Length())
	}
	batches := []Batch{
		{second(2), second(12), []string{"main-0"}}, {second(13), second(23), []string{"main-3"}},
		{second(24), second(35.5), []string{"main-1", "main-4"}}, {second(37), second(49), []string{"main-2", "main-5"}},
	}
	if got := r.Batches(); !reflect.DeepEqual(got, batches) {
		t.Errorf("batches %v", got)
	}
	want := map[string]int{"main-0": 1, "main-1": 1, "main-2": 1, "main-3": 1, "main-4": 1, "main-5": 1}
	if !maps.Equal(r.Restarts(), want) {
		t.Errorf("restarts %v", r.Restarts())
	}
}

func TestFactsThatAreEasilyMissed(t *testing.T) {
	cases := map[string]struct {
		tell    func(r *Record)
		down    []string
		racks   []string
		batches [][]string
	}{
		"nothing was seen": {func(*Record) {}, nil, nil, nil},
		"two racks meet for the blink of an eye": {func(r *Record) {
			r.See(second(1), "x-0", "a", CatchingUp)
			r.See(second(2), "x-1", "b", Stopping)
			r.See(second(2.001), "x-0", "a", Serving)
			r.See(second(3), "x-1", "b", Serving)
		}, []string{"x-0", "x-1"}, []string{"a", "b"}, [][]string{{"x-1"}}},
		"one goes at the very moment at which the other is back": {func(r *Record) {
			r.See(second(1), "x-0", "a", Starting)
			r.See(second(2), "x-0", "a", Serving)
			r.See(second(2), "x-1", "b", Stopping)
			r.See(second(3), "x-1", "b", Serving)
		}, []string{"x-0"}, []string{"a"}, [][]string{{"x-0"}, {"x-1"}}},
		"nobody could tell": {func(r *Record) {
			r.See(second(1), "x-0", "a", Unknown)
			r.See(second(1), "x-1", "b", Stopping)
			r.See(second(2), "x-1", "b", Serving)
		}, []string{"x-1"}, []string{"b"}, [][]string{{"x-1"}}},
		"a broker that never came back": {func(r *Record) {
			r.See(second(0), "x-0", "a", Serving)
			r.See(second(4), "x-0", "a", Gone)
			r.See(second(9), "x-1", "b", Serving)
		}, []string{"x-0"}, []string{"a"}, [][]string{{"x-0"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := &Record{}
			c.tell(r)
			if got := r.MostDown().Names; !slices.Equal(got, c.down) {
				t.Errorf("most brokers at once %v, expected %v", got, c.down)
			}
			if got := r.MostRacksDown().Names; !slices.Equal(got, c.racks) {
				t.Errorf("most racks at once %v, expected %v", got, c.racks)
			}
			var batches [][]string
			for _, b := range r.Batches() {
				batches = append(batches, b.Names)
			}
			if !reflect.DeepEqual(batches, c.batches) {
				t.Errorf("batches %v, expected %v", batches, c.batches)
			}
			_, _ = r.Text(), r.SVG("it is drawn all the same")
		})
	}
}

func TestALifeThatIsSeenAgainIsNoRestart(t *testing.T) {
	r := &Record{}
	for _, life := range []string{"first", "first", "second", "second", "third"} {
		r.Live("x-0", life)
	}
	if got := r.Restarts()["x-0"]; got != 2 {
		t.Errorf("%d restarts, expected 2", got)
	}
}

func TestAnInterruptionIsNeverTooShortForThePicture(t *testing.T) {
	r := &Record{}
	r.See(0, "x-0", "a", Serving)
	r.See(second(500), "x-0", "a", Stopping)
	r.See(second(500.01), "x-0", "a", Serving)
	r.See(second(1000), "x-0", "a", Serving)
	if text := r.Text(); strings.Count(text, "=v=") != 1 {
		t.Errorf("the text does not show it:\n%s", text)
	}
	if svg := r.SVG("short"); !strings.Contains(svg, `class="p" stroke-width="14" d="M`) {
		t.Errorf("the picture does not show it:\n%s", svg)
	}
}

func TestPicturesAreAsReviewed(t *testing.T) {
	r := rolled()
	golden(t, "roll.txt", r.Text())
	golden(t, "roll.svg", r.SVG("Six brokers in three zones, rolled zone by zone"))
	long := &Record{}
	for id := range 12 {
		restart(long, float64(30*id), 25, fmt.Sprintf("brokers-%d", 1000+id), fmt.Sprintf("zone-%d", id%4))
	}
	golden(t, "long.txt", long.Text())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (review, then go test -update); got:\n%s", path, got)
	}
}

func TestThePictureIsWellFormedAloneAndSmallWhateverHappened(t *testing.T) {
	r := &Record{}
	for id := range 50 {
		for i := range 2000 {
			r.See(second(float64(i)), fmt.Sprintf("brokers-%d", id), "zone <&> \"a\"", State(i%6))
		}
	}
	r.Mark(second(3), `a <mark> & "more"`)
	svg := r.SVG(`what & "how" <here>`)
	if len(svg) > 30<<10 {
		t.Errorf("%d bytes, expected at most 30 KiB", len(svg))
	}
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
	for _, foreign := range []string{"href", "url(", "@import", "<script", "<image"} {
		if strings.Contains(svg, foreign) {
			t.Errorf("the picture needs something else: %s", foreign)
		}
	}
	if !strings.Contains(svg, "prefers-color-scheme:dark") {
		t.Error("the picture is made for light pages alone")
	}
}
