package e2e

import (
	"regexp"
	"testing"
	"time"
)

// addressLag is how long after its start a pod may be looked for at the address of its previous life: DNS answers may
// be five seconds old in the local cluster, and a node asks again within a second or two.
const addressLag = 10 * time.Second

// failedDial is what a node says when another one does not take its connection: when, to which pod, at what address.
var failedDial = regexp.MustCompile(
	`(?m)^(\S+) .*Connection to node -?\d+ \(([^./]+)\.[^/]*/([^)]+):\d+\) could not be established`,
)

// mustFindEachOther fails when a node went on to look for another one where that has not been for a while: the
// partitions which the one that moved leads are without that follower meanwhile, and a producer that asks for all
// acknowledgements waits.
func mustFindEachOther(t *testing.T, namespace, cluster string) {
	t.Helper()
	pods, err := podsOf(t.Context(), namespace, cluster)
	if err != nil {
		t.Fatal(err)
	}
	dials := 0
	for _, from := range pods {
		log, err := kubectl(t.Context(), "logs", "-n", namespace, from.Name)
		if err != nil {
			t.Fatal(err)
		}
		found := failedDial.FindAllStringSubmatch(log, -1)
		dials += len(found)
		for _, to := range pods {
			longest, where := pace.Of(addressLag), ""
			for _, dial := range found {
				at, err := time.Parse(time.RFC3339, dial[1])
				if err != nil {
					t.Fatal(err)
				}
				if since := at.Sub(to.Status.StartTime.Time); dial[2] == to.Name && dial[3] != to.Status.PodIP && since > longest {
					longest, where = since, dial[3]
				}
			}
			if where != "" {
				t.Errorf(
					"%s still looked for %s at %s when that had lived at %s for %s",
					from.Name,
					to.Name,
					where,
					to.Status.PodIP,
					longest,
				)
			}
		}
	}
	if dials == 0 {
		t.Errorf("of %d nodes none tells of a connection that failed: the wording of Kafka's log has changed", len(pods))
	}
}
