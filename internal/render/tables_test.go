package render

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/report"
)

// TestEveryExposureIsSaidAlikeEverywhere walks the table: files, certificates, Services and the status tell one story.
func TestEveryExposureIsSaidAlikeEverywhere(t *testing.T) {
	for _, row := range exposure.Rows {
		t.Run(string(row.Type), func(t *testing.T) {
			c := cluster(t, "demo", fmt.Sprintf(`
version: "4.3.1"
pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners: [{name: outside, port: 9094, exposure: {type: %s}, authentication: {mechanisms: [SCRAM-SHA-512]}}]
`, row.Type))
			services := map[string]*corev1.Service{}
			for _, object := range Quiet(c) {
				if s, is := object.(*corev1.Service); is {
					services[s.Name] = s
				}
			}
			hosts := map[int32]string{0: "10.0.0.7", 1: "10.0.0.7", 2: "10.0.0.7"}
			for _, n := range c.Nodes {
				checkNode(t, c, &n, Nodes(c)[n.ID], services, report.ListenerStatus(c, hosts))
			}
		})
	}
}

// TestEveryMechanismIsRendered walks the table: a listener that offers a mechanism says all that its row says.
func TestEveryMechanismIsRendered(t *testing.T) {
	for _, row := range mechanism.Rows {
		t.Run(string(row.Name), func(t *testing.T) {
			c := cluster(t, "demo", fmt.Sprintf(`
version: "4.3.1"
pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners: [{name: clients, port: 9092, authentication: {mechanisms: [%s]}}]
`, row.Name))
			text := Nodes(c)[0].Data[fileProperties]
			wants := []string{"listener.name.clients.sasl.enabled.mechanisms=" + string(row.Name) + "\n"}
			for _, p := range row.Listener(usersDir + "/" + UsersEntry) {
				wants = append(wants, fmt.Sprintf("listener.name.clients.%s.sasl.%s=%s\n",
					strings.ToLower(string(row.Name)), p.Key, p.Value))
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			if got, want := needsPlainUsers(c, &c.Pools[0]), row.Store == mechanism.PasswordFile; got != want {
				t.Errorf("the file of users is mounted: %t, want %t", got, want)
			}
		})
	}
}
