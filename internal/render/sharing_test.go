package render

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
)

// huge is the largest pool with the longest names: 100 nodes, 16 listeners with TLS and three mechanisms, and 3 KB of
// configuration.
func huge(t *testing.T, exposure string) *model.Cluster {
	t.Helper()
	text := strings.Builder{}
	text.WriteString(`
version: "4.3.1"
pools:
- {name: control, replicas: 3, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}}
- {name: ` + strings.Repeat("p", 16) + `, replicas: 100, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}}
listeners:
`)
	for i := range 16 {
		fmt.Fprintf(&text, "- {name: listener%02d, port: %d, exposure: {type: %s}, authentication: "+
			"{mechanisms: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]}}\n", i, 10000+i, exposure)
	}
	fmt.Fprintf(&text, "config: {some.plug.in: %q}\n", strings.Repeat("x", 3<<10))
	name := strings.Repeat("c", 32)
	in := inputs(t, name, text.String())
	in.Cluster.Namespace = strings.Repeat("n", 63)
	for i := range 16 {
		in.NodePorts[fmt.Sprintf("%s-listener%02d", name, i)] = int32(30000 + i)
		for id := range 1100 {
			pod := fmt.Sprintf("%s-%s-%d", name, strings.Repeat("p", 16), id)
			in.NodePorts[model.NodeService(pod, fmt.Sprintf("listener%02d", i))] = int32(30000 + (16*id+i)%2768)
		}
	}
	if exposure != "NodePort" {
		return resolved(t, in)
	}
	in.Cluster.Name = "events" // a Service of its own for each node leaves less room for names
	in.NodePorts = map[string]int32{}
	for i := range 16 {
		in.NodePorts[fmt.Sprintf("events-listener%02d", i)] = int32(30000 + i)
		for id := range 1100 {
			pod := fmt.Sprintf("events-%s-%d", strings.Repeat("p", 16), id)
			in.NodePorts[model.NodeService(pod, fmt.Sprintf("listener%02d", i))] = int32(30000 + (16*id+i)%2768)
		}
	}
	return resolved(t, in)
}

func plainBytes(files map[int32]NodeFiles) int {
	size := 0
	for _, node := range files {
		size += bytesOf(node.Data, nil)
	}
	return size
}

func TestTheLargestPoolFitsIntoAConfigMap(t *testing.T) {
	for _, exposure := range []string{"Internal", "NodePort"} {
		c := huge(t, exposure)
		pool := &c.Pools[1]
		files := poolFiles(pool, Nodes(c))
		if len(files) != 100 {
			t.Fatalf("%d nodes are known", len(files))
		}
		revision := Revision(c, pool, files)
		t.Logf("%s: %d bytes as they are, %d bytes in the ConfigMap", exposure, plainBytes(files), RevisionBytes(revision))
		if got := RevisionBytes(revision); got > 512<<10 {
			t.Errorf("%s: %d bytes", exposure, got)
		}
		if again := ReadRevision(revision); !reflect.DeepEqual(again, files) {
			t.Errorf("%s: what is read back differs", exposure)
		}
		// In the middle of a roll half of the nodes have what they last ran.
		older := maps.Clone(files)
		for id, node := range older {
			if id%2 == 0 {
				node.Data = maps.Clone(node.Data)
				node.Data[fileProperties] = strings.ReplaceAll(node.Data[fileProperties], "xxx", "yyy") + "background.threads=11\n"
				older[id] = node
			}
		}
		mixed := Revision(c, pool, older)
		if got := RevisionBytes(mixed); got > 640<<10 || mixed.Name == revision.Name {
			t.Errorf("%s: %d bytes in mid-roll, as %s", exposure, got, mixed.Name)
		}
		if again := ReadRevision(mixed); !reflect.DeepEqual(again, older) {
			t.Errorf("%s: what is read back in mid-roll differs", exposure)
		}
	}
}

// A revision of an ordinary pool stays what it always was, so that older operators read it.
func TestAnOrdinaryRevisionIsNotSharedOut(t *testing.T) {
	c := cluster(t, "demo", demo)
	files := poolFiles(&c.Pools[0], Nodes(c))
	data := Revision(c, &c.Pools[0], files).Data
	for id, node := range files {
		for name, content := range node.Data {
			if data[fmt.Sprintf("%d.%s", id, name)] != content {
				t.Errorf("%s of node %d is not there as it is", name, id)
			}
		}
	}
	if want := 2 + len(files)*4; len(data) != want {
		t.Errorf("%d entries, expected %d", len(data), want)
	}
}

// Whatever files there are, what is shared out is put together as it was.
func TestWhatIsSharedOutIsPutTogetherAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(24, 100))
	words := []string{"", "a", "b=c", "events-main-1", "events-main-12", ownLine, podNameMark, "@HOST_IP@", "x\\", " y ", "shared"}
	text := func() string {
		var lines strings.Builder
		for range rng.IntN(6) {
			lines.WriteString(words[rng.IntN(len(words))])
			lines.WriteString([]string{"\n", "\n", "\n", ""}[rng.IntN(4)])
		}
		return lines.String()
	}
	for run := range 3000 {
		files := map[int32]NodeFiles{}
		common := map[string]string{fileProperties: text(), fileJVM: text(), fileNames: text()}
		for id := range int32(1 + rng.IntN(15)) {
			node := NodeFiles{Data: maps.Clone(common), Fingerprint: model.Fingerprint{User: "u", Whole: "w"}}
			for name := range node.Data {
				switch rng.IntN(4) {
				case 0:
					node.Data[name] = text()
				case 1:
					node.Data[name] = strings.Replace(common[name], "a", fmt.Sprint("node-", id), 1)
				}
			}
			files[id] = node
		}
		data := map[string]string{entryStart: "#!/bin/bash"}
		for id, node := range files {
			for name, content := range node.Data {
				data[fmt.Sprintf("%d.%s", id, name)] = content
			}
			data[fmt.Sprintf("%d.%s", id, entryFingerprint)] = "u w"
		}
		shareOut(data, files, "events-main-")
		if again := ReadRevision(&corev1.ConfigMap{Data: data}); !reflect.DeepEqual(again, files) {
			t.Fatalf("run %d: %v became %v", run, files, again)
		}
	}
}

// The script and the operator put the same files together.
func TestTheScriptReadsWhatIsSharedOut(t *testing.T) {
	c := huge(t, "Internal")
	pool := &c.Pools[1]
	files := poolFiles(pool, Nodes(c))
	revision := Revision(c, pool, files)
	dir := t.TempDir()
	for key, content := range revision.Data {
		if err := os.WriteFile(filepath.Join(dir, key), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, source, _ := strings.Cut(startScript, "own_file() {")
	source = "own_file() {" + source
	source = source[:strings.Index(source, "\n}\n")+3]
	for _, id := range []int32{pool.FirstNodeID, pool.FirstNodeID + 1, pool.FirstNodeID + 99} {
		for name, want := range files[id].Data {
			command := exec.Command("bash", "-euo", "pipefail", "-c", source+"\nown_file "+name)
			command.Env = []string{
				"PATH=" + os.Getenv("PATH"), "revision=" + dir, fmt.Sprint("id=", id), "POD_NAME=" + c.Node(id).PodName,
			}
			got, err := command.Output()
			if err != nil || string(got) != want {
				t.Errorf("%s of node %d (error %v): %.200s, expected %.200s", name, id, err, got, want)
			}
		}
	}
}
