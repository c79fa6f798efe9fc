package node

import (
	"encoding/json"
	"fmt"
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
		containerdConfig: {"bin_dirs = ['/etc/cni/bin', '/t/n']", "BinaryName = '/t/r/runc'"},
		"/etc/containerd/certs.d/_default/hosts.toml": {"server = 'http://10.210.0.1:5000'"},
		"/etc/hosts": {"10.210.0.12 n2"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[path], want) {
				t.Errorf("%s: no %q in:\n%s", path, want, files[path])
			}
		}
	}
}

func TestNetworkOfPods(t *testing.T) {
	for families, want := range map[plan.Families]string{
		"":            "ptp [[{10.212.2.0/24}]] [{0.0.0.0/0}] 0.0.0.0 10.210.0.12",
		plan.Both:     "ptp-at-once [[{10.212.2.0/24}] [{fdca:57e1:1a00:212:2::/80}]] [{0.0.0.0/0} {::/0}] :: 10.210.0.12,fdca:57e1:1a00:210::12",
		plan.IPv6:     "ptp-at-once [[{fdca:57e1:1a00:212:2::/80}]] [{::/0}] :: fdca:57e1:1a00:210::12",
		plan.SixFirst: "ptp-at-once [[{fdca:57e1:1a00:212:2::/80}] [{10.212.2.0/24}]] [{::/0} {0.0.0.0/0}] :: fdca:57e1:1a00:210::12,10.210.0.12",
	} {
		b := boot()
		b.Plan.Families = families
		b.Node = b.Plan.Node(2)
		files, err := b.files()
		if err != nil {
			t.Fatal(err)
		}
		var cni struct {
			Plugins []struct {
				Type string
				IPAM struct {
					Ranges [][]struct{ Subnet string }
					Routes []struct{ Dst string }
				}
			}
		}
		if err := json.Unmarshal([]byte(files["/etc/cni/net.d/10-ptp.conflist"]), &cni); err != nil || len(cni.Plugins) != 2 {
			t.Fatalf("%+v %v", cni, err)
		}
		_, address, _ := strings.Cut(files[kubeletConfig], "\naddress: \"")
		address, _, _ = strings.Cut(address, "\"")
		nodeIP := ""
		for _, s := range b.specs() {
			for _, arg := range s.Argv {
				if strings.HasPrefix(arg, "--node-ip=") {
					nodeIP = strings.TrimPrefix(arg, "--node-ip=")
				}
			}
		}
		ptp := cni.Plugins[0]
		if got := fmt.Sprint(ptp.Type, " ", ptp.IPAM.Ranges, " ", ptp.IPAM.Routes, " ", address, " ", nodeIP); got != want {
			t.Errorf("%q: got %s, want %s", families, got, want)
		}
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
