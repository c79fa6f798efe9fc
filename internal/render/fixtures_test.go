package render

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/resolve"
)

// The three clusters of the golden files.
const (
	demo = `
version: "4.3.1"
pools:
- name: main
  replicas: 3
  storage: {volumes: [{name: data, size: 2Gi}]}
  jvm: {heap: 256Mi}
  resources: {requests: {cpu: 100m, memory: 512Mi}, limits: {memory: 768Mi}}
listeners:
- name: clients
  port: 9092
  encryption: None
  authentication: {mechanisms: [SCRAM-SHA-512, PLAIN, SCRAM-SHA-256]}
- name: outside
  port: 9094
  exposure: {type: NodePort}
  encryption: None
  authentication: {mechanisms: [PLAIN, SCRAM-SHA-512]}
config:
  log.retention.hours: "72"
  log.segment.bytes: "104857600"
`
	dedicated = `
version: "4.3.1"
pools:
- name: control
  replicas: 3
  roles: [Controller]
  storage: {volumes: [{name: metadata, size: 5Gi, storageClassName: fast}]}
- name: brokers
  replicas: 2
  roles: [Broker]
  firstNodeId: 100
  storage: {volumes: [{name: disk1, size: 100Gi}, {name: disk2, size: 100Gi}]}
  config: {num.partitions: "6", num.io.threads: "16"}
  podTemplate:
    metadata:
      labels: {team: streams}
      annotations: {example.org/scrape: "true"}
    spec:
      priorityClassName: important
      tolerations: [{key: kafka, operator: Exists}]
      containers:
      - {name: sidecar, image: example.org/sidecar:1}
      volumes: [{name: scratch, emptyDir: {}}]
listeners:
- name: clients
  port: 9092
  authentication: {mechanisms: [SCRAM-SHA-512]}
- name: outside
  port: 9094
  exposure: {type: NodePort}
  authentication: {mechanisms: [PLAIN]}
authorization: {type: Simple, superUsers: [admin]}
unmanagedConfig: [max.connections]
`
	single = `
version: "4.3.1"
pools:
- name: main
  replicas: 1
  storage: {volumes: [{name: data, size: 1Gi, ephemeral: true}]}
listeners:
- {name: plain, port: 9092, encryption: None}
`
)

// inputs makes what a pass resolves, with every node port known that a fixture needs.
func inputs(t *testing.T, name, spec string) resolve.Inputs {
	t.Helper()
	cluster := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "c0ffee"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &cluster.Spec); err != nil {
		t.Fatal(err)
	}
	cluster.Status.ClusterID = "4L6g3nShT-eMCtK--X86sw"
	pools, faults := identity.AssignNodeIDs(&cluster.Spec, nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	cluster.Status.Pools = pools
	defaults := identity.Defaults(&cluster.Spec)
	cluster.Status.Defaults = &defaults
	for i, id := range identity.ControllerIDs(&cluster.Spec, pools) {
		directory := []string{"m9atXU-TwKffeQtKrk2gPg", "wEJdEJ0w_UVqfVMFZh9xBw", "GvkJLePBuFs6Bu6Jfj8Ygg"}[i]
		cluster.Status.InitialVoters = append(
			cluster.Status.InitialVoters,
			v1alpha1.InitialVoter{NodeID: id, DirectoryID: directory},
		)
	}
	return resolve.Inputs{
		Cluster: cluster, Spec: &cluster.Spec, ImageRepository: "apache/kafka", Domain: "cluster.local",
		Balanced: map[string][]string{
			name + "-outside": {"192.0.2.1"}, name + "-main-0-outside": {"lb-0.example.com", "192.0.2.10"},
			name + "-main-1-outside": {"lb-1.example.com"}, name + "-main-2-outside": {"192.0.2.12"},
		},
		NodePorts: map[string]int32{
			name + "-outside":             30200,
			name + "-main-0-outside":      30100,
			name + "-main-1-outside":      30101,
			name + "-main-2-outside":      30102,
			name + "-main-3-outside":      30103,
			name + "-brokers-100-outside": 31100,
			name + "-brokers-101-outside": 31101,
			name + "-brokers-102-outside": 31102,
		},
	}
}

func resolved(t *testing.T, in resolve.Inputs) *model.Cluster {
	t.Helper()
	c, faults := resolve.Resolve(in)
	if len(faults) > 0 {
		t.Fatalf("the spec is refused: %v", faults)
	}
	return c
}

func cluster(t *testing.T, name, spec string) *model.Cluster {
	t.Helper()
	return resolved(t, inputs(t, name, spec))
}
