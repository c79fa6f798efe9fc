package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

func boot() Boot {
	p := plan.Plan{Name: "test", Index: 1, Nodes: 2}
	tools := toolchain.Tools{Components: "/t/c", Containerd: "/t/d", Runc: "/t/r", CNI: "/t/n"}
	return Boot{Plan: p, Node: p.Node(2), Dir: "/state", Tools: tools, Program: "/state/localcluster", Reserved: 1234}
}

func TestFiles(t *testing.T) {
	files, err := boot().files()
	if err != nil {
		t.Fatal(err)
	}
	for path, wants := range map[string][]string{
		kubeletConfig:    {"cgroupRoot: /test/n2\n", `clusterDNS: ["10.211.0.10"]`, `memory: "1234Mi"`, "unix:///run/containerd/containerd.sock"},
		containerdConfig: {"bin_dirs = ['/t/n']", "BinaryName = '/t/r/runc'"},
		"/etc/containerd/certs.d/_default/hosts.toml": {"server = 'http://10.210.0.1:5000'"},
		"/etc/hosts": {"10.210.0.12 n2"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[path], want) {
				t.Errorf("%s: no %q in:\n%s", path, want, files[path])
			}
		}
	}
	var cni struct{ Plugins []struct{ Type string } }
	if err := json.Unmarshal([]byte(files["/etc/cni/net.d/10-ptp.conflist"]), &cni); err != nil || len(cni.Plugins) != 2 {
		t.Errorf("%+v %v", cni, err)
	}
}

func TestSpecs(t *testing.T) {
	for _, s := range boot().specs() {
		if s.NetNS != "" || !strings.HasPrefix(s.Log, "/state/log/n2-") {
			t.Errorf("%+v", s)
		}
		if all := strings.Join(s.Argv, " "); s.Name == "kubelet" && !strings.Contains(all, "topology.kubernetes.io/zone=b") {
			t.Error(all)
		}
	}
}

func TestReservedMemory(t *testing.T) {
	for _, c := range []struct {
		total int64
		nodes int
		want  int64
	}{
		{24 << 10, 3, 17 << 10}, // 21 GiB among three
		{8 << 10, 1, 3 << 10},
		{8 << 10, 6, 6 << 10}, // at least 2 GiB each, though they overlap
		{1 << 10, 1, 0},
	} {
		if got := ReservedMemory(c.total, c.nodes); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}
