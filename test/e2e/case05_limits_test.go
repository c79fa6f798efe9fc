package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const quotaManifest = `
apiVersion: v1
kind: ResourceQuota
metadata: {name: tenant}
spec: {hard: {limits.cpu: "4"}}
`

// killingLimits gives every container a memory limit in which a broker does not live.
const killingLimits = `
apiVersion: v1
kind: LimitRange
metadata: {name: small}
spec: {limits: [{type: Container, default: {memory: 280Mi}, defaultRequest: {memory: 100Mi}}]}
`

// Quotas and limit ranges of a namespace are told in Kubernetes' words, and what is done about them heals by itself.
func TestCase05_AQuotaAndALimitRangeAreToldInKubernetesWords(t *testing.T) {
	long(t)
	for name, c := range map[string]struct {
		inTheWay string
		says     []string
		cure     func(t *testing.T, ns string, cluster kafkaCluster)
	}{
		"a quota that wants limits": {quotaManifest, []string{"failed quota: tenant: must specify limits.cpu"},
			func(t *testing.T, ns string, _ kafkaCluster) {
				t.Helper()
				if _, err := kubectl(t.Context(), "delete", "resourcequota", "tenant", "-n", ns); err != nil {
					t.Fatal(err)
				}
			}},
		"a limit range that kills": {killingLimits, []string{"OOMKilled", "280Mi", "LimitRange", "resources.limits[memory]"},
			func(t *testing.T, _ string, cluster kafkaCluster) {
				t.Helper()
				change(t, cluster, func(c kafkaCluster) {
					mainPool(c).Resources.Limits = v1alpha1.ResourceList{"memory": resource.MustParse("1Gi")}
				})
			}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t)
			apply(t, ns, c.inTheWay)
			apply(t, ns, smallManifest(true, ""))
			cluster := clusterNamed(ns, sharedName)
			eventually(t, 2*time.Minute, "the status of the node says it", func(ctx context.Context) error {
				if err := refresh(ctx, cluster); err != nil {
					return err
				}
				for _, n := range cluster.Status.Nodes {
					if missingIn(n.Message, c.says) == "" {
						say(t, "%s: %s", n.Pod, n.Message)
						return nil
					}
				}
				return fmt.Errorf("%+v; conditions %s", cluster.Status.Nodes, told(cluster.conditions()))
			})
			c.cure(t, ns, cluster)
			figureSeconds(t, "limit-healed", waitReady(t, 2*time.Minute, cluster))
		})
	}
}
