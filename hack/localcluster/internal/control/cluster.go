package control

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

// AfterAPI is the condition that the API server is ready.
const AfterAPI = "api"

// Users of the API server with a kubeconfig of their own.
const (
	ControllerUser = "controllers"
	SchedulerUser  = "scheduler"
	ProxyUser      = "proxy"
)

// Inputs is all that the control plane of a cluster depends on.
type Inputs struct {
	Plan        plan.Plan
	Dir         plan.Dir
	Tools       toolchain.Tools
	Images      string
	NetNS       string
	Tolerations int
}

const (
	etcdClient = "http://127.0.0.1:2379"
	etcdPeer   = "http://127.0.0.1:2380"
)

// Server is the cluster's API server.
func (in Inputs) Server() APIServer {
	return APIServer{
		PKI:         pki.Store(in.Dir.PKI()),
		RunDir:      in.Dir.Run(),
		Etcd:        etcdClient,
		Advertise:   in.Plan.ControlIP(),
		Port:        6443,
		ServiceCIDR: strings.Join(in.Plan.ServiceCIDRs(), ","),
		AuditLog:    in.Dir.Audit(),
		AuditPolicy: in.AuditPolicyFile(),
		Tolerations: in.Tolerations,
	}
}

// AuditPolicyFile and CorefileFile must be written before the start.
func (in Inputs) AuditPolicyFile() string { return in.Dir.Path("audit-policy.yaml") }
func (in Inputs) CorefileFile() string    { return in.Dir.Path("Corefile") }

// EnsurePKI makes all certificates and kubeconfigs of the control plane and
// of the nodes.
func (in Inputs) EnsurePKI() error {
	s := pki.Store(in.Dir.PKI())
	if err := in.Server().EnsurePKI(slices.Concat(in.Plan.ControlIPs(), in.Plan.APIServiceIPs())); err != nil {
		return err
	}
	users := map[string]pki.Subject{
		ControllerUser: {Name: "system:kube-controller-manager"},
		SchedulerUser:  {Name: "system:kube-scheduler"},
		ProxyUser:      {Name: "system:kube-proxy"},
	}
	for _, n := range in.Plan.AllNodes() {
		users[n.Name] = pki.Subject{Name: "system:node:" + n.Name, Groups: []string{"system:nodes"}}
	}
	for name, subject := range users {
		if err := s.EnsureCert(CA, name, subject); err != nil {
			return err
		}
		if err := s.WriteKubeconfig(in.Dir.User(name), in.Plan.Name, in.Plan.APIURL(), CA, name); err != nil {
			return err
		}
	}
	return s.WriteKubeconfig(in.Dir.Kubeconfig(), in.Plan.Name, in.Plan.APIURL(), CA, Admin)
}

// Specs are the programs of the control plane.
func (in Inputs) Specs() []proc.Spec {
	components := in.Tools.ComponentsBinary()
	spec := func(name, after string, args []string) proc.Spec {
		return proc.Spec{
			Name: name, After: after, NetNS: in.NetNS, Log: in.Dir.Log(name),
			Argv: append([]string{components}, args...),
		}
	}
	csi := spec("csi-controller", AfterAPI, nil)
	csi.Argv = []string{
		filepath.Join(in.Tools.Components, "csi-controller"),
		"-endpoint=" + in.Dir.Path("run", "csi.sock"), "-root=" + in.Dir.Volumes(), "-kubeconfig=" + in.Dir.Kubeconfig(),
	}
	return []proc.Spec{
		spec("etcd", "", Etcd(in.Dir.Path("etcd"), etcdClient, etcdPeer)),
		spec("registry", "", []string{"registry", "-address=" + in.Plan.Registry(),
			"-dir=" + in.Dir.Path("registry"), "-layouts=" + in.Images}),
		spec("kube-apiserver", "", in.Server().Args()),
		spec("kube-controller-manager", AfterAPI, in.controllers()),
		spec("kube-scheduler", AfterAPI, in.scheduler()),
		spec("kube-proxy", AfterAPI, in.proxy()),
		spec("coredns", AfterAPI, []string{"coredns", "-conf", in.CorefileFile()}),
		spec("load-balancer", AfterAPI, []string{"load-balancer", "-kubeconfig=" + in.Dir.Kubeconfig(),
			"-pools=" + strings.Join(in.Plan.LoadBalancerCIDRs(), ",")}),
		csi,
	}
}

func (in Inputs) controllers() []string {
	s, conf := pki.Store(in.Dir.PKI()), in.Dir.User(ControllerUser)
	return []string{
		"kube-controller-manager", "--kubeconfig=" + conf,
		"--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir=" + in.Dir.Run(),
		"--use-service-account-credentials", "--root-ca-file=" + s.Cert(CA),
		"--service-account-private-key-file=" + s.Key(accountKeys),
		"--cluster-signing-cert-file=" + s.Cert(CA), "--cluster-signing-key-file=" + s.Key(CA),
		// Each controller asks for an account of its own, and none starts before
		// all have one: 4 s with the default rate.
		"--kube-api-qps=200", "--kube-api-burst=400",
		// The address plan gives nodes their pod ranges and routes.
		"--allocate-node-cidrs=false", "--cluster-cidr=" + strings.Join(in.Plan.PodCIDRs(), ","),
		"--controllers=*,-node-ipam-controller,-node-route-controller,-service-lb-controller",
		// Together with the kubelet's lease of 10 s, a lost node is seen after
		// some 23 s instead of 48 s.
		"--node-monitor-grace-period=20s", "--node-monitor-period=2s",
	}
}

func (in Inputs) scheduler() []string {
	conf := in.Dir.User(SchedulerUser)
	return []string{
		"kube-scheduler", "--kubeconfig=" + conf, "--authentication-kubeconfig=" + conf, "--authorization-kubeconfig=" + conf,
		"--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir=" + in.Dir.Run(),
	}
}

// proxy lets the API server call webhooks by their service address, and
// forwards what the host sends to services. kube-proxy waits for half a minute
// for the node that it runs on, and the control plane is none; so it poses as
// the first node, of which it needs only that it is there.
func (in Inputs) proxy() []string {
	var any []string
	for _, family := range in.Plan.Each() {
		any = append(any, map[string]string{string(plan.IPv4): "0.0.0.0/0", string(plan.IPv6): "::/0"}[family])
	}
	return append(Proxy(in.Dir, in.Plan, in.Plan.Node(1).Name), "--nodeport-addresses="+strings.Join(any, ","))
}

// Proxy is the command line of kube-proxy on any machine. The last two flags
// keep it from settings that belong to the whole machine.
func Proxy(dir plan.Dir, p plan.Plan, hostname string) []string {
	return []string{
		"kube-proxy", "--kubeconfig=" + dir.User(ProxyUser), "--proxy-mode=nftables",
		"--cluster-cidr=" + strings.Join(p.PodCIDRs(), ","),
		"--hostname-override=" + hostname, "--conntrack-max-per-core=0", "--oom-score-adj=0",
	}
}

// Corefile is CoreDNS' configuration. It answers for the cluster only: there
// is nothing else to reach.
func (in Inputs) Corefile() string {
	return `.:53 {
  bind ` + strings.Join(in.Plan.ControlIPs(), " ") + `
  errors
  health 127.0.0.1:8080
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ` + in.Dir.Kubeconfig() + `
    pods verified
    ttl 5
  }
  cache 5
}
`
}
