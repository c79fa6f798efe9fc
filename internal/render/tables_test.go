package render

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/report"
)

// TestEveryExposureIsSaidAlikeEverywhere walks the table: files, certificates, Services and the status tell one story.
func TestEveryExposureIsSaidAlikeEverywhere(t *testing.T) {
	for _, row := range exposure.Rows {
		t.Run(string(row.Type), func(t *testing.T) {
			c := cluster(t, "demo", fmt.Sprintf(`
version: "4.3.1"
pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners: [{name: outside, port: 9094, exposure: {type: %s%s}, authentication: {mechanisms: [SCRAM-SHA-512]}}]
`, row.Type, needsOf(row)))
			services := servicesOf(c)
			hosts := map[int32]model.HostIPs{0: {"10.0.0.7"}, 1: {"10.0.0.7"}, 2: {"10.0.0.7"}}
			for _, n := range c.Nodes {
				checkNode(t, c, &n, Nodes(c)[n.ID], services, report.ListenerStatus(c, hosts))
			}
		})
	}
}

// needsOf is what a type of exposure cannot do without.
func needsOf(row exposure.Row) string {
	const gateway = ", gateway: {name: public}"
	switch row.Route {
	case exposure.RouteTLS:
		return gateway + ", advertised: {hostTemplate: '{pod}.example.com'}, bootstrap: {hosts: [kafka.example.com]}"
	case exposure.RouteTCP:
		return gateway
	}
	return ""
}

// TestWhatIsAdvertisedInsteadIsSaidAlikeEverywhere lays templates and overrides over every row of the table.
func TestWhatIsAdvertisedInsteadIsSaidAlikeEverywhere(t *testing.T) {
	for _, row := range exposure.Rows {
		if row.Route != exposure.RouteNone {
			continue // which needs names, or ports, of which no two are the same
		}
		t.Run(string(row.Type), func(t *testing.T) {
			c := cluster(t, "demo", fmt.Sprintf(`
version: "4.3.1"
pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners:
- name: outside
  port: 9094
  exposure:
    type: %s
    advertised:
      hostTemplate: b-{nodeId}.kafka.example.com
      portTemplate: 9000+{nodeId}
      overrides: [{nodeId: 1, host: "fd00::1", port: 443}, {nodeId: 2, host: 192.0.2.7}]
    bootstrap: {hosts: [kafka.example.com, 192.0.2.1], port: 443}
`, row.Type))
			services := servicesOf(c)
			hosts := map[int32]model.HostIPs{0: {"10.0.0.7"}, 1: {"10.0.0.7"}, 2: {"10.0.0.7"}}
			status := report.ListenerStatus(c, hosts)
			for _, n := range c.Nodes {
				checkNode(t, c, &n, Nodes(c)[n.ID], services, status)
				l := n.Listener("OUTSIDE")
				for _, name := range []string{"kafka.example.com", "192.0.2.1", l.AdvertisedHost} {
					if !slices.Contains(l.SANs, name) {
						t.Errorf("node %d: %s is not among the names %v", n.ID, name, l.SANs)
					}
				}
				if l.NeedsHostIP {
					t.Errorf("node %d: nobody is sent to the Kubernetes node, and its certificate has to name that", n.ID)
				}
			}
			if got := status[0].BootstrapServers; !strings.HasPrefix(got, "kafka.example.com:443,192.0.2.1:443") {
				t.Errorf("clients begin at %s", got)
			}
			want := "OUTSIDE://b-0.kafka.example.com:9000 OUTSIDE://[fd00::1]:443 OUTSIDE://192.0.2.7:9002"
			var got []string
			for _, n := range c.Nodes {
				advertised := readProperties(Nodes(c)[n.ID].Data[fileProperties])["advertised.listeners"]
				_, outside, _ := strings.Cut(advertised, "OUTSIDE")
				got = append(got, "OUTSIDE"+outside)
			}
			if text := strings.Join(got, " "); text != want {
				t.Errorf("advertised is %s, want %s", text, want)
			}
		})
	}
}

func servicesOf(c *model.Cluster) map[string]*corev1.Service {
	services := map[string]*corev1.Service{}
	for _, object := range Quiet(c) {
		if s, is := object.(*corev1.Service); is {
			services[s.Name] = s
		}
	}
	return services
}

// TestEveryMechanismIsRendered walks the table: a listener that offers a mechanism says all that its row says.
func TestEveryMechanismIsRendered(t *testing.T) {
	for _, row := range mechanism.Rows {
		if !row.Offered() {
			continue
		}
		t.Run(string(row.Name), func(t *testing.T) {
			asks := ""
			if row.Store == mechanism.IssuerKeys {
				asks = ", oauth: {issuer: https://id.example.com, audience: kafka, jwks: {url: https://id.example.com/keys}}"
			}
			if row.Store == mechanism.Directory {
				asks = ", custom: {mechanism: GSSAPI, secret: {name: kerberos}}"
			}
			c := cluster(t, "demo", fmt.Sprintf(`
version: "4.3.1"
pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners: [{name: clients, port: 9092, authentication: {mechanisms: [%s]%s}}]
`, row.Name, asks))
			text := Nodes(c)[0].Data[fileProperties]
			wants := []string{"listener.name.clients.sasl.enabled.mechanisms=" + row.SaslName("GSSAPI") + "\n"}
			if row.Layer == mechanism.LayerTLS {
				wants = []string{"listener.name.clients.ssl.client.auth=required\n",
					"listener.name.clients.ssl.truststore.location=" + listenersDir + "/clients.clients.crt\n",
					"listener.name.clients.castellan.client.certificates=" + usersDir + "/" + CertificatesEntry + "\n"}
				if strings.Contains(text, "sasl") {
					t.Errorf("SASL stands in\n%s", text)
				}
			}
			for _, p := range row.Listener(offerOf(&c.Nodes[0], &c.Listeners[0])) {
				wants = append(wants, fmt.Sprintf("listener.name.clients.%s=%s\n", p.Key, p.Value))
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			file := row.Store == mechanism.PasswordFile || row.Store == mechanism.CertificateFile
			if got, want := needsPlainUsers(c, &c.Pools[0]), file; got != want {
				t.Errorf("the file of users is mounted: %t, want %t", got, want)
			}
			if got, want := needsTokenKeys(c, &c.Pools[0]), row.Store == mechanism.IssuerKeys; got != want {
				t.Errorf("the keys of issuers are mounted: %t, want %t", got, want)
			}
			if got, want := needsLogins(c, &c.Pools[0]), row.Store == mechanism.Directory; got != want {
				t.Errorf("the files of custom mechanisms are mounted: %t, want %t", got, want)
			}
		})
	}
}
