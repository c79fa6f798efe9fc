package resolve

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
)

const small = `
version: "4.3.1"
pools:
- name: main
  replicas: 3
  storage: {volumes: [{name: data, size: 10Gi, storageClassName: fast}, {name: more, size: 10Gi}]}
- name: extra
  replicas: 2
  roles: [Broker]
  storage: {volumes: [{name: data, size: 10Gi}]}
listeners:
- {name: clients, port: 9092, authentication: {mechanisms: [PLAIN]}}
- {name: outside, port: 9094, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
config: {log.retention.hours: "72", log.segment.bytes: "1048576"}
`

func spec(t *testing.T, text string) *v1alpha1.KafkaClusterSpec {
	t.Helper()
	s := &v1alpha1.KafkaClusterSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// running are the inputs of a cluster that runs what it was asked for.
func running(t *testing.T, text string) Inputs {
	t.Helper()
	accepted := spec(t, text)
	in := Inputs{
		Cluster: &v1alpha1.KafkaCluster{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events", UID: "c0ffee"},
		},
		Accepted:        accepted,
		Spec:            accepted.DeepCopy(),
		ImageRepository: "apache/kafka",
		Domain:          "cluster.local",
	}
	defaults := identity.Defaults(accepted)
	in.Cluster.Status.Pools, _ = identity.AssignNodeIDs(accepted, nil)
	in.Cluster.Status.Defaults = &defaults
	in.Cluster.Status.Bootstrapped = true
	in.Cluster.Status.ClusterID = "4L6g3nShT-eMCtK--X86sw"
	return in
}
