package control

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

func inputs(t *testing.T) Inputs {
	return Inputs{
		Plan: plan.Plan{Name: "test", Index: 1, Nodes: 2}, Dir: plan.Dir(t.TempDir()),
		Tools: toolchain.Tools{Components: "/tools"}, Images: "/images", NetNS: "/run/netns/test-cp", Tolerations: 30,
	}
}

func TestServerArguments(t *testing.T) {
	args := inputs(t).Server().Args()
	for _, want := range []string{
		"--advertise-address=10.210.0.1", "--service-cluster-ip-range=10.211.0.0/16", "--secure-port=6443",
		"--default-not-ready-toleration-seconds=30", "--default-unreachable-toleration-seconds=30", "--audit-log-mode=blocking",
	} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s", want)
		}
	}
	bare := APIServer{NoControllers: true, BindAddress: "127.0.0.1", Extra: []string{"--v=2"}}.Args()
	if !slices.Contains(bare, "--disable-admission-plugins=ServiceAccount") || bare[len(bare)-1] != "--v=2" {
		t.Errorf("%v", bare)
	}
	if slices.ContainsFunc(bare, func(a string) bool { return strings.Contains(a, "toleration") }) {
		t.Error("tolerations without being asked for")
	}
}

func TestArgumentsOfBothFamilies(t *testing.T) {
	in := inputs(t)
	in.Plan.Families = plan.Both
	all := strings.Join(in.Server().Args(), "\n")
	for _, s := range in.Specs() {
		all += "\n" + strings.Join(s.Argv, "\n")
	}
	for _, want := range []string{
		"--advertise-address=10.210.0.1\n", "--service-cluster-ip-range=10.211.0.0/16,fdca:57e1:1a00:211::/112\n",
		"--cluster-cidr=10.212.0.0/16,fdca:57e1:1a00:212::/64\n", "--nodeport-addresses=0.0.0.0/0,::/0\n",
		"-pools=10.213.0.0/16,fdca:57e1:1a00:213::/112\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s", want)
		}
	}
	if corefile := in.Corefile(); !strings.Contains(corefile, "bind 10.210.0.1 fdca:57e1:1a00:210::1\n") {
		t.Error(corefile)
	}
}

func TestSpecs(t *testing.T) {
	in := inputs(t)
	names := map[string]bool{}
	for _, s := range in.Specs() {
		if names[s.Name] || s.NetNS != in.NetNS || s.Log != in.Dir.Log(s.Name) || len(s.Argv) < 2 {
			t.Errorf("%+v", s)
		}
		names[s.Name] = true
		// Whoever speaks to the API server waits for it; the others must not.
		waits := s.Name != "etcd" && s.Name != "registry" && s.Name != "kube-apiserver"
		if waits != (s.After == AfterAPI) {
			t.Errorf("%s waits for %q", s.Name, s.After)
		}
	}
	if len(names) != 9 {
		t.Errorf("%v", names)
	}
}

func TestEnsurePKIKeepsWhatIsThere(t *testing.T) {
	in := inputs(t)
	if err := in.EnsurePKI(); err != nil {
		t.Fatal(err)
	}
	store := pki.Store(in.Dir.PKI())
	before, err := os.ReadFile(store.Cert(Admin))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(store.Cert("n1")); err != nil {
		t.Fatal(err)
	}
	in.Plan.Nodes = 3
	if err := in.EnsurePKI(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(store.Cert(Admin))
	if err != nil || string(before) != string(after) {
		t.Error("the administrator's certificate was made again")
	}
	for _, path := range []string{store.Cert("n1"), store.Cert("n3"), in.Dir.User("n3"), in.Dir.Kubeconfig()} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
