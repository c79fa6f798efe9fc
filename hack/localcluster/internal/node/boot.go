// Package node is the inside of a node: its first process, which gives it a
// file system of its own, and the programs that run on it.
package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/control"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

// Boot is what a node needs to start. The node's processes get it as JSON.
type Boot struct {
	Plan    plan.Plan       `json:"plan"`
	Node    plan.Node       `json:"node"`
	Dir     plan.Dir        `json:"dir"`
	Tools   toolchain.Tools `json:"tools"`
	Program string          `json:"program"`
	// Reserved is the memory that the node does not offer, in MiB.
	Reserved int64 `json:"reservedMiB"`
}

const (
	containerdSocket = "/run/containerd/containerd.sock"
	containerdConfig = "/etc/containerd/config.toml"
	kubeletConfig    = "/etc/kubernetes/kubelet.yaml"
	afterContainerd  = "containerd"
)

// disk are the folders that outlive a power failure, and where they appear.
var disk = map[string]string{
	"kubelet":    "/var/lib/kubelet",
	"containerd": "/var/lib/containerd",
	"pods":       "/var/log/pods",
	"containers": "/var/log/containers",
}

// Path is a node's search path: our programs, then the machine's.
func Path(t toolchain.Tools) string {
	own := []string{t.Components, t.Containerd, t.Runc, t.CNI}
	return strings.Join(own, ":") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// specs are the programs of a node.
func (b Boot) specs() []proc.Spec {
	components, kubelet := b.Tools.ComponentsBinary(), b.Dir.User(b.Node.Name)
	spec := func(name, after string, argv ...string) proc.Spec {
		return proc.Spec{Name: name, After: after, Argv: argv, Log: b.Dir.Log(b.Node.Name + "-" + name)}
	}
	proxy := append([]string{components}, control.Proxy(b.Dir, b.Plan, b.Node.Name)...)
	return []proc.Spec{
		spec("containerd", "", filepath.Join(b.Tools.Containerd, "containerd"), "--config", containerdConfig, "--log-level", "warn"),
		spec("csi-dir", "", components, "csi-dir", "-node="+b.Node.Name, "-root="+b.Dir.Volumes(),
			"-endpoint=/var/lib/kubelet/plugins/csi.sock", "-register=/var/lib/kubelet/plugins_registry/csi-dir-reg.sock"),
		spec("kube-proxy", "", proxy...),
		spec("kubelet", afterContainerd, components, "kubelet",
			"--config="+kubeletConfig, "--kubeconfig="+kubelet, "--hostname-override="+b.Node.Name, "--node-ip="+strings.Join(b.Node.IPs, ","),
			"--node-labels=topology.kubernetes.io/zone="+b.Node.Zone+",topology.kubernetes.io/region=local"),
	}
}

// files are the configuration files of a node, written at every boot.
func (b Boot) files() (map[string]string, error) {
	templates := map[string]string{
		containerdConfig: containerdTemplate,
		"/etc/containerd/certs.d/_default/hosts.toml": hostsTemplate,
		"/etc/cni/net.d/10-ptp.conflist":              cniTemplate,
		ptpAtOnce:                                     ptpAtOnceTemplate,
		kubeletConfig:                                 kubeletTemplate,
		"/etc/hosts":                                  "127.0.0.1 localhost\n{{range .Node.IPs}}{{.}} {{$.Node.Name}}\n{{end}}",
		"/etc/hostname":                               "{{.Node.Name}}\n",
	}
	values := struct {
		Boot
		Runc, CNI, CA, Socket, CgroupRoot string
	}{b, filepath.Join(b.Tools.Runc, "runc"), b.Tools.CNI, pki.Store(b.Dir.PKI()).Cert(control.CA),
		containerdSocket, "/" + b.Plan.Name + "/" + b.Node.Name}
	files := map[string]string{}
	for path, text := range templates {
		t, err := template.New(path).Option("missingkey=error").Parse(text)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, values); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files[path] = out.String()
	}
	return files, nil
}

// ReservedMemory shares the machine among the nodes: the kubelet would offer
// all of it on every node. The result is in MiB.
func ReservedMemory(totalMiB int64, nodes int) int64 {
	const forOthers, atLeast = 3 << 10, 2 << 10
	offer := max(atLeast, (totalMiB-forOthers)/int64(nodes))
	return max(0, totalMiB-offer)
}

// MachineMemory reads the machine's memory in MiB.
func MachineMemory() (int64, error) {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var kib int64
	if _, err := fmt.Sscanf(string(content), "MemTotal: %d kB", &kib); err != nil {
		return 0, fmt.Errorf("/proc/meminfo: %w", err)
	}
	return kib >> 10, nil
}

// Plugins that need kernel parts or services that are not there only fill the
// log. restrict_oom_score_adj is for machines whose root may not lower scores.
const containerdTemplate = `version = 3
root = '/var/lib/containerd'
state = '/run/containerd'
disabled_plugins = [
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.nri.v1.nri',
]

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = 'registry.k8s.io/pause:3.10'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '/etc/containerd/certs.d'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['/etc/cni/bin', '{{.CNI}}']
    conf_dir = '/etc/cni/net.d'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '{{.Runc}}'
      SystemdCgroup = false
`

// Every registry, whatever its name, is the local one.
const hostsTemplate = `server = 'http://{{.Plan.Registry}}'
[host.'http://{{.Plan.Registry}}']
  capabilities = ['pull', 'resolve']
`

// A point-to-point link for each pod, not a bridge: on a bridge a pod that
// calls a service and is sent to a neighbour needs the module br_netfilter.
const cniTemplate = `{"cniVersion": "1.0.0", "name": "ptp", "plugins": [
  {"type": "{{if .Plan.HasIPv6}}ptp-at-once{{else}}ptp{{end}}", "mtu": 1500, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam",
    "ranges": [{{range $i, $subnet := .Node.PodCIDRs}}{{if $i}}, {{end}}[{"subnet": "{{$subnet}}"}]{{end}}],
    "routes": [{{range $i, $family := .Plan.Each}}{{if $i}}, {{end}}
      {"dst": "{{if eq $family "IPv6"}}::/0{{else}}0.0.0.0/0{{end}}"}{{end}}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"}
]}
`

// ptpAtOnce is the plugin ptp without the second and a half in which a new IPv6 address waits for somebody else to say
// that it is theirs. There is nobody else on the link, and pods would start so much later.
const (
	ptpAtOnce         = "/etc/cni/bin/ptp-at-once"
	ptpAtOnceTemplate = `#!/bin/sh
if [ "$CNI_COMMAND" = ADD ]; then
	nsenter --net="$CNI_NETNS" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
fi
exec {{.CNI}}/ptp "$@"
`
)

const kubeletTemplate = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: {{.CgroupRoot}}
containerRuntimeEndpoint: unix://{{.Socket}}
address: "{{if .Plan.HasIPv6}}::{{else}}0.0.0.0{{end}}"
clusterDNS: ["{{index .Plan.DNSIPs 0}}"]
clusterDomain: cluster.local
resolvConf: /dev/null
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: "{{.CA}}"}
authorization: {mode: Webhook}
failSwapOn: false
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
systemReserved: {memory: "{{.Reserved}}Mi"}
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 10
podLogsDir: /var/log/pods
`
