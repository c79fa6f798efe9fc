package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The test program becomes kubectl where this variable names the file with the objects.
const fakeKubectl = "DEMO_TEST_KUBECTL"

func TestMain(m *testing.M) {
	if path := os.Getenv(fakeKubectl); path != "" {
		if err := kubectl(path, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// kubectl does to the objects in a file what the demo asks for.
func kubectl(path string, args []string) error {
	w, err := readWorld(path)
	if err != nil {
		return err
	}
	switch args[0] {
	case "get":
		if i := w.find(args[1:]); i >= 0 {
			return json.NewEncoder(os.Stdout).Encode(w.Items[i])
		}
		if len(w.Items) > 0 {
			return json.NewEncoder(os.Stdout).Encode(w)
		}
		return nil
	case "annotate":
		w.Asked = append(w.Asked, args[1]+"/"+args[2])
		return w.write(path)
	case "patch":
		i := w.find(args[1:])
		if i < 0 || !slices.Contains(args, "--subresource=status") || !slices.Contains(args, "--type=json") {
			return fmt.Errorf("kubectl %v", args)
		}
		if w.Writes > 0 {
			w.Writes--
			slices.Reverse(w.Items[i].Status.Conditions)
		}
		before, err := json.Marshal(w)
		if err != nil {
			return err
		}
		if err := w.patch(i, args[slices.Index(args, "--patch")+1]); err != nil {
			return errors.Join(err, os.WriteFile(path, before, 0o600))
		}
		return w.write(path)
	}
	return fmt.Errorf("no kubectl %v", args)
}

// world is what the API server has.
type world struct {
	Items []object `json:"items"`
	Asked []string `json:"asked"`
	// Writes is how often the operator still writes another list of conditions just before a patch arrives.
	Writes int `json:"writes"`
}

func readWorld(path string) (w world, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return w, err
	}
	return w, json.Unmarshal(content, &w)
}

// find returns the index of the object that arguments name first, or -1.
func (w world) find(args []string) int {
	return slices.IndexFunc(w.Items, func(o object) bool {
		return strings.ToLower(o.Kind) == args[0] && o.Metadata.Name == args[1]
	})
}

func (w world) write(path string) error {
	content, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// patch takes a JSON patch of the conditions of one object.
func (w world) patch(item int, text string) error {
	var operations []struct{ Op, Path, Value string }
	if err := json.Unmarshal([]byte(text), &operations); err != nil {
		return err
	}
	for _, o := range operations {
		var i int
		var field string
		if _, err := fmt.Sscanf(o.Path, "/status/conditions/%d/%s", &i, &field); err != nil {
			return err
		}
		c := &w.Items[item].Status.Conditions[i]
		value := map[string]*string{"type": &c.Type, "status": &c.Status}[field]
		switch {
		case o.Op == "test" && *value != o.Value:
			return errors.New("the test of the patch failed")
		case o.Op == "replace":
			*value = o.Value
		}
	}
	return nil
}

// sample is an object of the samples as an earlier run has left it.
func sample(kind, name string, conditions ...condition) object {
	o := object{Kind: kind}
	o.Metadata.Name, o.Metadata.Generation = name, 2
	o.Status.ObservedGeneration = 2
	o.Status.Conditions = conditions
	return o
}

func ready(status string) condition {
	return condition{Type: "Ready", Status: status, Reason: "AsSpecified", ObservedGeneration: 2}
}

func newTestDemo(t *testing.T, w world) (*demo, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "world.json")
	if err := w.write(path); err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakeKubectl, path)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &demo{progress: newProgress(&bytes.Buffer{}), kubectl: []string{self}}, path
}

func waiting(t *testing.T, d *demo) []string {
	t.Helper()
	names, err := d.lookOnce(t.Context(), map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestReadyOfAnEarlierRunDoesNotCount(t *testing.T) {
	available := condition{Type: "Available", Status: "True", ObservedGeneration: 2}
	d, path := newTestDemo(t, world{Items: []object{
		sample("KafkaCluster", "events", available, ready("True")),
		sample("KafkaTopic", "orders", ready("True")),
		sample("KafkaUser", "billing", condition{Type: "Stalled", Status: "True", ObservedGeneration: 2}, ready("False")),
	}})
	if err := d.withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"KafkaCluster/events", "KafkaTopic/orders", "KafkaUser/billing"}
	if got := waiting(t, d); !slices.Equal(got, want) {
		t.Errorf("before the operator has looked, the demo waits for %v, want %v", got, want)
	}

	// The operator looks because it is asked to, and says what it sees.
	w, err := readWorld(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.Asked, []string{"kafkacluster/events"}) {
		t.Errorf("asked to be looked at: %v", w.Asked)
	}
	if got := w.Items[0].Status.Conditions[0].Status; got != "Unknown" {
		t.Errorf("Available is %s; topics and users are looked at only when it changes", got)
	}
	for i := range w.Items {
		w.Items[i].Status.Conditions = []condition{ready("True")}
	}
	if err := w.write(path); err != nil {
		t.Fatal(err)
	}
	if got := waiting(t, d); len(got) != 0 {
		t.Errorf("after the operator has looked, the demo waits for %v", got)
	}
}

func TestWithdrawingWhileTheOperatorWrites(t *testing.T) {
	for writes, fine := range map[int]bool{2: true, attempts: false} {
		t.Run(fmt.Sprintf("%d times", writes), func(t *testing.T) {
			warning := condition{Type: "Warning", Status: "True", ObservedGeneration: 2}
			events := sample("KafkaCluster", "events", warning, ready("True"))
			d, path := newTestDemo(t, world{Items: []object{events}, Writes: writes})
			if err := d.withdraw(t.Context()); (err == nil) != fine {
				t.Errorf("error: %v", err)
			}
			w, err := readWorld(path)
			if err != nil {
				t.Fatal(err)
			}
			withdrawn := slices.ContainsFunc(w.Items[0].Status.Conditions, func(c condition) bool { return c.Status == unknown })
			if withdrawn != fine || (len(w.Asked) == 1) != fine {
				t.Errorf("withdrawn: %v, asked: %v", withdrawn, w.Asked)
			}
		})
	}
}

func TestWithdrawingWhereThereIsNothing(t *testing.T) {
	for name, w := range map[string]world{
		"no samples":                   {},
		"samples that were never seen": {Items: []object{sample("KafkaCluster", "events"), sample("KafkaTopic", "orders")}},
	} {
		t.Run(name, func(t *testing.T) {
			d, path := newTestDemo(t, w)
			if err := d.withdraw(t.Context()); err != nil {
				t.Error(err)
			}
			if after, err := readWorld(path); err != nil || len(after.Asked) != 0 {
				t.Errorf("asked: %v, %v", after.Asked, err)
			}
		})
	}
}

func TestWhatAStatusSays(t *testing.T) {
	stalled := condition{Type: "Stalled", Status: "True", Reason: "Refused", ObservedGeneration: 2}
	older := func(c condition) condition { c.ObservedGeneration = 1; return c }
	for name, c := range map[string]struct {
		conditions     []condition
		ready, stalled bool
	}{
		"nothing yet":                {nil, false, false},
		"ready":                      {[]condition{ready("True")}, true, false},
		"not ready":                  {[]condition{ready("False")}, false, false},
		"ready with an older spec":   {[]condition{older(ready("True"))}, false, false},
		"stalled":                    {[]condition{stalled, ready("False")}, false, true},
		"stalled with an older spec": {[]condition{older(stalled), older(ready("False"))}, false, false},
		"stalled, and the operator has not looked":   {[]condition{stalled, ready("Unknown")}, false, false},
		"stalled once, and ready since":              {[]condition{older(stalled), ready("True")}, true, false},
		"available, and the operator has not looked": {[]condition{ready("Unknown")}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, isReady, isStalled := sample("KafkaTopic", "orders", c.conditions...).line()
			if isReady != c.ready || isStalled != c.stalled {
				t.Errorf("ready %v, stalled %v", isReady, isStalled)
			}
		})
	}
}
