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

The planner of the operator decides about everything that disturbs a cluster: restarts, changes of the metadata quorum,
the removal of nodes and pools, the replacement of disks, metadata.version. It asks two questions, one after the other:
why should this be done, and may it be done now? The status of the KafkaCluster names the rule that holds something
back, with the facts.

A plan disturbs in one way at a time. Only restarts go together: of brokers in one rack, as many as their partitions can
spare.

A new version of the operator is no reason to restart. What it renders differently waits for the next restart.
`

const docsBetween = `
Nodes that serve nobody restart first, then brokers rack by rack, then nodes that are brokers and controllers, then
dedicated controllers, and the leader of the metadata quorum last. On the way to a newer version of Kafka, controllers
restart first.

## What has to be true first

The rules are asked in this order. The status shows the first one that refuses.
`

const docsTail = `
## Pods that serve nobody

Fewer rules are asked about a pod that is not ready, so that a bad change can be taken back while the cluster is down.

- A pod whose process cannot get up as it is: the container kafka, or an init container before it, crashes again and
  again, is not scheduled, cannot pull its image, or cannot be set up. A pod that crashed once and has been up since, or
  in which another container fails, is not among them: every rule is asked about it. Only these are asked:
  ` + "`cacheCurrent`, `notPaused`, `oneThing`, `comesBack`, `knowsFeatures`, `leftQuorum` and `trialAlone`" + `.
- The same holds for a pod that is not ready while Kafka's process is ready in no broker (for controllers: in no node),
  and for every pod of a cluster whose quorum was never seen, as long as no broker is ready.
- A pod whose process does not run, or that is in sync with no partition and not needed for the majority of the quorum:
  ` + "`provenRevision`" + ` is asked as well, because the pod may come back by itself on what it last ran.

## A disk that is replaced under a broker that serves

A broker goes on with its other disks when one that is not its first fails. To replace that one the broker restarts.
Every rule in whose row Restart stands is asked about it, too.

## How a new revision spreads

One node tries a new revision. It is proven there once the pod has been ready for 20 seconds without a break. Each
restart of any of its containers doubles that time, up to 10 minutes, as the kubelet's back-off doubles: a container
that ends at once is ready for a second between two crashes, and proves nothing. The status says until when the trial
lasts. Before its end no other node takes the revision, and pods of other nodes that die come back on the files that
they last ran. The pod template has no such protection: a pool has only one.

## Time

A view of Kafka is used for 10 seconds. After a pod was replaced, or its process has started again, a view has to be 6
seconds younger than that.
`
