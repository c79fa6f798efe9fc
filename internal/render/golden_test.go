package render

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/internal/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGolden(t *testing.T) {
	for _, tc := range []struct{ name, spec string }{
		{"demo", demo},
		{"dedicated", dedicated},
		{"single", single},
	} {
		t.Run(tc.name, func(t *testing.T) {
			compareGolden(t, tc.name, printAll(t, cluster(t, tc.name, tc.spec)))
		})
	}
}

// printAll renders a cluster as one text. Digests, scripts and the jar are left out: they change with every comment and
// would hide what a review is for.
func printAll(t *testing.T, c *model.Cluster) string {
	t.Helper()
	var b strings.Builder
	files := Nodes(c)
	for _, n := range c.Nodes {
		for _, name := range sortedKeys(files[n.ID].Data) {
			fmt.Fprintf(&b, "=== node %d: %s\n%s", n.ID, name, files[n.ID].Data[name])
		}
		for _, claim := range Claims(c, &n) {
			printObject(t, &b, claim)
		}
		fmt.Fprintf(&b, "=== node %d: format\n%s\n", n.ID, formatWord(c, &n, "POD-UID"))
	}
	for i := range c.Pools {
		pool := &c.Pools[i]
		set := StatefulSet(c, pool, "REVISION", pool.Replicas, nil)
		for key := range set.Spec.Template.Annotations {
			if strings.HasPrefix(key, "kafka.castellan.dev/template-") {
				set.Spec.Template.Annotations[key] = "DIGEST"
			}
		}
		printObject(t, &b, set)
		revision := Revision(c, pool, poolFiles(pool, files))
		for key := range revision.Data {
			revision.Data[key] = "..."
		}
		for key := range revision.BinaryData {
			revision.BinaryData[key] = []byte("...")
		}
		revision.Name = revision.Name[:len(revision.Name)-10] + "DIGEST"
		printObject(t, &b, revision)
	}
	for _, object := range append(Quiet(c), Budget(c, 1, nil, false)) {
		printObject(t, &b, object)
	}
	return b.String()
}

func poolFiles(pool *model.Pool, files map[int32]NodeFiles) map[int32]NodeFiles {
	own := map[int32]NodeFiles{}
	for i := range pool.Replicas {
		if f, known := files[pool.FirstNodeID+i]; known {
			own[pool.FirstNodeID+i] = f
		}
	}
	return own
}

func printObject(t *testing.T, b *strings.Builder, object Object) {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "=== %s %s\n%s", object.GetObjectKind().GroupVersionKind().Kind, object.GetName(), text)
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range gotLines {
		if i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s differs from line %d on (review, then go test -update):\n got: %s\nwant: %s", path, i+1,
				strings.Join(gotLines[i:min(i+5, len(gotLines))], "\n      "),
				strings.Join(wantLines[min(i, len(wantLines)):min(i+5, len(wantLines))], "\n      "))
		}
	}
	t.Fatalf("%s: lines are missing after line %d", path, len(gotLines))
}

func TestRevisionGivesBackWhatItWasMadeOf(t *testing.T) {
	c := cluster(t, "demo", demo)
	files := Nodes(c)
	revision := Revision(c, &c.Pools[0], files)
	back := ReadRevision(revision)
	if len(back) != len(files) {
		t.Fatalf("%d nodes came back of %d", len(back), len(files))
	}
	for id, f := range files {
		if toJSON(back[id]) != toJSON(f) {
			t.Errorf("node %d came back as %s, was %s", id, toJSON(back[id]), toJSON(f))
		}
	}
	if again := Revision(c, &c.Pools[0], back); again.Name != revision.Name {
		t.Errorf("the same content is named %s and %s", revision.Name, again.Name)
	}
	if ReadRevision(&corev1.ConfigMap{Data: map[string]string{"a": "b"}}) != nil {
		t.Error("a ConfigMap of somebody else was taken for a revision")
	}
	if !*revision.Immutable || len(revision.Name) > 63 {
		t.Errorf("revision %s: immutable %v", revision.Name, *revision.Immutable)
	}
}
