package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const factorKey = "default.replication.factor"

// Outgrown tells that a cluster has more brokers than its recorded defaults were made for, and which lines of
// spec.config would change them. A key that spec sets, to whatever value, is no default any more. spec is what c was
// made of.
func Outgrown(c *model.Cluster, spec *v1alpha1.KafkaClusterSpec) []string {
	brokers := totalBrokers(spec)
	wanted := identity.ReplicationOf(brokers)
	var is, lines []string
	if c.Defaults.ReplicationFactor < wanted.ReplicationFactor && !setsFactor(c) {
		is = append(is, verdict.Counted(int(c.Defaults.ReplicationFactor), "replica"))
		lines = append(lines, fmt.Sprintf("%s: \"%d\" (restarts brokers)", factorKey, wanted.ReplicationFactor))
	}
	if c.Defaults.MinInsyncReplicas < wanted.MinInsyncReplicas && !setsMinISR(spec) {
		is = append(is, fmt.Sprintf("%s %d", minISRKey, c.Defaults.MinInsyncReplicas))
		lines = append(lines, fmt.Sprintf("%s: \"%d\"", minISRKey, wanted.MinInsyncReplicas))
	}
	if len(lines) == 0 {
		return nil
	}
	return []string{fmt.Sprintf(
		"spec.config: the cluster was made with %s and has %d, and topics still get %s; set %s, or the values that shall "+
			"stay",
		verdict.Counted(int(c.Defaults.ReplicationFactor), "broker"), // below three it is as many as there were brokers
		brokers, strings.Join(is, " and "), strings.Join(lines, " and "),
	)}
}

// setsFactor tells that every broker has a replication factor that the user chose.
func setsFactor(c *model.Cluster) bool {
	return !slices.ContainsFunc(c.Pools, func(p model.Pool) bool {
		_, set := p.StaticConfig[factorKey]
		return p.Broker && !set
	})
}

func setsMinISR(spec *v1alpha1.KafkaClusterSpec) bool {
	_, set := spec.Config[minISRKey]
	return set || slices.Contains(spec.UnmanagedConfig, minISRKey)
}
