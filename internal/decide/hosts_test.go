package decide

import (
	"fmt"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// onHosts is a running cluster with a listener that advertises Kubernetes nodes, of which the operator knows so many.
func onHosts(t *testing.T, hosts int) Inputs {
	t.Helper()
	in := running(t)
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "external", Port: 9094, Encryption: v1alpha1.EncryptionTLS,
		Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort}}}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	for i := range hosts {
		in.HostAddresses = append(in.HostAddresses, fmt.Sprintf("10.2.%d.%d", i/250, i%250+1))
	}
	for i := range in.Live.Pods {
		in.Live.Pods[i].Status.HostIP = "10.2.0.1"
	}
	return in
}

// anew lists the certificates that would be issued.
func anew(in Inputs, d Decision) (entries []string) {
	for _, k := range KeySecrets(d.Model, d.Observation, in.Live, d.Authority, in.Now) {
		for _, leaf := range k.Issue {
			if strings.HasSuffix(leaf.Entry, ".external") {
				entries = append(entries, leaf.Entry)
			}
		}
	}
	return entries
}

func TestAPodThatMovesNeedsNoOtherCertificateWhereNodesMayBeRead(t *testing.T) {
	for hosts, moves := range map[int]bool{0: true, 500: false, 501: true} {
		in := onHosts(t, hosts)
		d := Decide(in)
		issueAll(t, in, d)
		in = renderedAgain(t, in, d)
		if again := anew(in, Decide(in)); len(again) > 0 {
			t.Fatalf("%d Kubernetes nodes: at rest %v are issued", hosts, again)
		}
		in.Live.Pods[1].Status.HostIP = "10.2.1.9"
		d = Decide(in)
		if got := anew(in, d); (len(got) == 1) != moves {
			t.Errorf("%d Kubernetes nodes: a pod moves, and %v are issued", hosts, got)
		}
		told := strings.Contains(strings.Join(d.Warnings, "\n"), "501 addresses of the Kubernetes nodes are too many")
		if told != (hosts == 501) {
			t.Errorf("%d Kubernetes nodes: %v", hosts, d.Warnings)
		}
		if hosts == 500 && len(d.Plan.Steps) > 0 {
			t.Errorf("somebody is disturbed: %v", d.Plan.Steps)
		}
	}
}
