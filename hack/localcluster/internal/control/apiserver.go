// Package control builds the command lines of the control plane.
package control

import (
	"fmt"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
)

// Names of the authorities, keys and certificates in the store.
const (
	CA          = "ca"
	FrontCA     = "front-ca"
	Admin       = "admin"
	apiServer   = "apiserver"
	frontProxy  = "front-proxy"
	accountKeys = "sa"
)

// APIServer are the choices about an API server.
type APIServer struct {
	PKI         pki.Store
	RunDir      string
	Etcd        string
	BindAddress string // empty means all addresses
	Advertise   string
	Port        int
	ServiceCIDR string // one of each family, the first family first, with commas
	AuditLog    string
	AuditPolicy string
	// Tolerations is the number of seconds that pods stay on a lost node.
	Tolerations int
	// NoControllers is set when no controller manager makes service accounts,
	// without which admission would refuse every pod.
	NoControllers bool
	Extra         []string
}

// EnsurePKI makes what Args refers to and the administrator's certificate.
func (a APIServer) EnsurePKI(hosts []string) error {
	s := a.PKI
	for _, ca := range []string{CA, FrontCA} {
		if err := s.EnsureCA(ca); err != nil {
			return err
		}
	}
	if err := s.EnsureKeyPair(accountKeys); err != nil {
		return err
	}
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1"}
	server := pki.Subject{Name: "kube-apiserver", Hosts: append(names, hosts...)}
	if err := s.EnsureCert(CA, apiServer, server); err != nil {
		return err
	}
	if err := s.EnsureCert(FrontCA, frontProxy, pki.Subject{Name: frontProxy}); err != nil {
		return err
	}
	return s.EnsureCert(CA, Admin, pki.Subject{Name: Admin, Groups: []string{"system:masters"}})
}

// Args is the command line without the program.
func (a APIServer) Args() []string {
	s := a.PKI
	args := []string{
		"kube-apiserver",
		"--etcd-servers=" + a.Etcd,
		"--advertise-address=" + a.Advertise,
		fmt.Sprintf("--secure-port=%d", a.Port),
		"--service-cluster-ip-range=" + a.ServiceCIDR,
		"--cert-dir=" + a.RunDir,
		"--tls-cert-file=" + s.Cert(apiServer),
		"--tls-private-key-file=" + s.Key(apiServer),
		"--client-ca-file=" + s.Cert(CA),
		"--kubelet-client-certificate=" + s.Cert(Admin),
		"--kubelet-client-key=" + s.Key(Admin),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + s.Key(accountKeys),
		"--service-account-key-file=" + s.Public(accountKeys),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		// The aggregation layer does not start without a front proxy.
		"--requestheader-client-ca-file=" + s.Cert(FrontCA),
		"--requestheader-allowed-names=" + frontProxy,
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + s.Cert(frontProxy),
		"--proxy-client-key-file=" + s.Key(frontProxy),
		"--audit-policy-file=" + a.AuditPolicy,
		"--audit-log-path=" + a.AuditLog,
		// A test that counts requests must find them all in one file: lines are
		// written before the answer is sent, and the file is not turned soon.
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=1024",
		"--audit-log-maxbackup=1",
	}
	if a.BindAddress != "" {
		args = append(args, "--bind-address="+a.BindAddress)
	}
	if a.Tolerations > 0 {
		args = append(args,
			fmt.Sprintf("--default-not-ready-toleration-seconds=%d", a.Tolerations),
			fmt.Sprintf("--default-unreachable-toleration-seconds=%d", a.Tolerations))
	}
	if a.NoControllers {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	return append(args, a.Extra...)
}

// Etcd is the command line of a one-member etcd. It does not call fsync: the
// data must outlive a killed process, not a power failure of the machine.
func Etcd(dir, clientURL, peerURL string) []string {
	return []string{
		"etcd", "--name=default", "--data-dir=" + dir, "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=default=" + peerURL,
	}
}

// AuditPolicy logs one line a finished request, without bodies. What the
// parts of the cluster itself read, and the nodes' heartbeats, are left out;
// every other write is there.
const AuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:nodes"]
  verbs: [get, list, watch]
- level: None
  userGroups: ["system:nodes"]
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
- level: None
  users: ["system:apiserver", "system:kube-scheduler", "system:kube-proxy", "system:kube-controller-manager"]
  verbs: [get, list, watch]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
  verbs: [get, list, watch]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]
- level: Metadata
`
