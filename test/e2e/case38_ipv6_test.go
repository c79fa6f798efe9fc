package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const ipv6Manifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi, ephemeral: true}]}, jvm: {heap: 256Mi}}
  listeners:
  - name: balanced
    port: 9094
    exposure: {type: LoadBalancer, services: {ipFamilies: [IPv6]}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: ported
    port: 9095
    exposure: {type: NodePort, services: {ipFamilies: [IPv6]}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: both
    port: 9096
    exposure: {type: LoadBalancer, services: {ipFamilies: [IPv6, IPv4], ipFamilyPolicy: RequireDualStack}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: inside
    port: 9097
    exposure: {type: Internal, services: {ipFamilies: [IPv6]}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  authorization: {type: Simple, superUsers: [admin]}
`

// ipv6Script sends a record by each of two listeners and reads both back, with Java.
const ipv6Script = `
set -euo pipefail
for listener in balanced ported; do
  b=$(cat /client/bootstrap.servers.$listener)
  echo "from-$listener" | /opt/kafka/bin/kafka-console-producer.sh --bootstrap-server "$b" \
    --command-config /client/client.properties --topic "$TOPIC"
done
/opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server "$b" --command-config /client/client.properties \
  --topic "$TOPIC" --group "$GROUP" --from-beginning --max-messages 2 --timeout-ms 120000
`

// Clients reach brokers over IPv6 alone: by load balancers, by node ports and by the names of pods, with TLS and a login,
// from outside and from a pod. What they are told are IPv6 addresses, and certificates name these. Where a Service has
// addresses of two families, clients may begin at either.
func TestCase38_ClientsReachBrokersOverIPv6(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("whether this machine reaches the Services of another cluster over IPv6 is not known")
	}
	ns := newNamespace(t)
	if err := givesIPv6(t.Context(), ns); err != nil {
		t.Skipf("Services of this Kubernetes cluster have no IPv6 addresses: %v", err)
	}
	apply(t, ns, ipv6Manifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	const topic = "records-admin"
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(topic, ", partitions: 1, replicationFactor: 1"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, topic))

	startConsole(t, ns, adminUser, secretOf(t, ns, adminUser).Name, ipv6Script)
	waitConsole(t, ns, adminUser, "from-ported")
	for _, listener := range []string{"balanced", "ported", "both", "inside"} {
		t.Run("by "+listener, func(t *testing.T) {
			l := loginOf(t, ns, adminUser).at(t, ns, sharedName, listener)
			if told := string(secretOf(t, ns, adminUser).Data["bootstrap.servers."+listener]); told != l.servers {
				t.Errorf("the Secret tells of %q, and the status of %q", told, l.servers)
			}
			status := listenerStatus(t, cluster, listener)
			if listener != "inside" && (len(status.Addresses) != 1 || !isIPv6(status.Addresses[0].Host)) {
				t.Errorf("brokers advertise %+v, and no IPv6 address", status.Addresses)
			}
			begin := strings.Split(l.servers, ",") // of two families, where the Service has both
			l.via = func(address string) string {
				if slices.Contains(begin, address) && listener == "both" {
					return address
				}
				return overIPv6(t, address)
			}
			sendAndSee(t, l, topic, "by-"+listener)
		})
	}
	t.Run("by the IPv4 address of a Service with both", func(t *testing.T) {
		status := listenerStatus(t, cluster, "both")
		if len(status.LoadBalancerAddresses) != 2 || isIPv6(status.LoadBalancerAddresses[1]) {
			t.Fatalf("the load balancer has %q, and not an IPv6 address before an IPv4 address", status.LoadBalancerAddresses)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(loginOf(t, ns, adminUser).ca)
		begin := net.JoinHostPort(status.LoadBalancerAddresses[1], fmt.Sprint(status.Port))
		eventually(t, 30*time.Second, "a certificate names "+begin, func(ctx context.Context) error {
			dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
			conn, err := dialer.DialContext(ctx, "tcp", begin)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	})
}

// givesIPv6 asks Kubernetes for a Service with an IPv6 address, without making it.
func givesIPv6(ctx context.Context, ns string) error {
	return kube.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ipv6"},
		Spec: corev1.ServiceSpec{
			IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol}, Ports: []corev1.ServicePort{{Port: 9092}},
		},
	}, client.DryRunAll)
}

func isIPv6(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Is6() && !address.Is4In6()
}

// overIPv6 is the IPv6 address behind what a client was told. A client that is sent to an IPv4 address fails the case.
func overIPv6(t *testing.T, told string) string {
	host, port, err := net.SplitHostPort(told)
	if err != nil || isIPv6(host) {
		return told
	}
	if _, err := netip.ParseAddr(host); err == nil {
		t.Errorf("a client was sent to %s", told)
		return told
	}
	addresses, err := clusterResolver().LookupNetIP(t.Context(), "ip6", host)
	if (err != nil || len(addresses) == 0) && t.Context().Err() == nil { // a client that is being closed asks once more
		t.Errorf("%s has no IPv6 address: %v", host, err)
	}
	if len(addresses) == 0 {
		return told
	}
	return net.JoinHostPort(addresses[0].String(), port)
}

// sendAndSee sends a record and reads the topic until it is seen.
func sendAndSee(t *testing.T, l login, topic, value string) {
	t.Helper()
	cl := l.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordDeliveryTimeout(pace.Of(5*time.Second)), kgo.RetryTimeout(pace.Of(5*time.Second)))
	// A port of a Service opens a moment after the endpoint behind it is ready.
	eventually(t, 30*time.Second, "a record is taken at "+l.servers, func(ctx context.Context) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
	})
	var seen []string
	eventually(t, 30*time.Second, "the record is read back from "+l.servers, func(ctx context.Context) error {
		fetches := cl.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) { seen = append(seen, string(r.Value)) })
		if all := strings.Join(seen, " "); !strings.Contains(all, value) {
			return errors.Join(fmt.Errorf("read: %s", all), fetches.Err())
		}
		return nil
	})
}
