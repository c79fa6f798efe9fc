package plan

import (
	"fmt"
	"strings"
)

// The generated table of docs/restarts.md.
const (
	tableBegins = "<!-- Written by go test ./internal/plan -update from the reasons in internal/plan; do not edit. " +
		"-->\n"
	tableEnds = "<!-- The end of what is written. -->\n"
)

func effects() string {
	var b strings.Builder
	b.WriteString("| after | the node concerned | reason |\n|---|---|---|\n")
	for _, r := range reasons {
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", r.after, r.leads.Row().disruption.effect, r.name)
	}
	return b.String()
}

const docsHead = `# What disturbs a cluster, and what holds that back

<!-- Written by go test ./internal/plan -update from the tables in internal/plan; do not edit. -->

One place in the operator decides about everything that disturbs: restarts, changes of the metadata quorum, nodes and
pools that go, disks that are replaced, metadata.version. It asks two questions, one after the other: why should this be
done, and may it be done now? The status of the KafkaCluster names the rule that holds something back, with the facts.

A plan disturbs in one way at a time. Restarts go together: brokers of one rack, as many as their partitions can spare.

A new version of the operator is no reason. What it would render differently waits for a restart that happens anyway.
`

const docsBetween = `
Nodes that serve nobody are restarted first, then brokers rack by rack, then nodes that are brokers and controllers, then
dedicated controllers, and the leader of the metadata quorum last. To a newer version of Kafka controllers go first.

## What has to be true first

The rules are asked in this order, and the first that says no is the one that the status shows.
`

const docsTail = `
## Pods that serve nobody

A pod that is not ready is asked less, so that a bad change can be taken back while the cluster is in trouble.

- A pod that cannot come back as it is (it crashes again and again, finds no machine, cannot pull its image, cannot be set
  up) is asked only ` + "`cacheCurrent`, `notPaused`, `oneThing`, `comesBack`, `knowsFeatures`, `leftQuorum` and `trialAlone`" + `.
- So is a pod that is not ready while no broker is ready at all (for controllers: while no node is), and every pod of a
  cluster whose quorum was never seen, as long as no broker is ready.
- A pod whose process does not run, or that is in sync with no partition and not needed for the majority of the quorum, is
  asked ` + "`provenRevision`" + ` as well: it might come back by itself on what it last ran.

## How a new revision spreads

A new revision is tried on one node. Until it is ready there, the other nodes of the pool, should their pods die, come back
on the files that they last ran. The pod template is one for the whole pool and has no such protection.

## Time

A view of Kafka counts for 10 seconds. A pod that was replaced, or whose process has started
again, counts once a view is 6 seconds younger.
`
