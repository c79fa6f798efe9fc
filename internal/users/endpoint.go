package users

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Endpoint is one listener as a certain user sees it.
type Endpoint struct {
	Listener  string
	Bootstrap string // empty = not known yet
	TLS       bool
	Internal  bool
	// Mechanisms are those of the user that the listener offers, the strongest first.
	Mechanisms []v1alpha1.Mechanism
	// Addresses of the listener, by node id.
	Addresses map[int32]Address
}

// Address is where one broker is dialled, and the name that its certificate must hold.
type Address struct {
	Dial       string
	ServerName string
}

// Endpoints lists the listeners that offer any of the mechanisms, the one to use by default first: internal ones before
// others, those that offer all before those that offer some, and then in the order of the spec.
func Endpoints(cluster *v1alpha1.KafkaCluster, mechanisms []v1alpha1.Mechanism) []Endpoint {
	var endpoints []Endpoint
	for _, l := range listeners(cluster) {
		if l.Authentication == nil {
			continue
		}
		e := Endpoint{Listener: l.Name, TLS: l.Encryption != v1alpha1.EncryptionNone, Internal: exposure.Of(l.Exposure.Type).Reach == exposure.ReachInside}
		for _, row := range mechanism.Rows {
			if slices.Contains(mechanisms, row.Name) && slices.Contains(l.Authentication.Mechanisms, row.Name) {
				e.Mechanisms = append(e.Mechanisms, row.Name)
			}
		}
		if len(e.Mechanisms) == 0 {
			continue
		}
		e.locate(cluster, l)
		endpoints = append(endpoints, e)
	}
	rank := func(e Endpoint) int {
		r := 0
		if !e.Internal {
			r += 2
		}
		if len(e.Mechanisms) < len(mechanisms) {
			r++
		}
		return r
	}
	slices.SortStableFunc(endpoints, func(a, b Endpoint) int { return cmp.Compare(rank(a), rank(b)) })
	return endpoints
}

// listeners are those that users log in at. Of an external cluster one is known: that at which the operator does, where it
// takes a login.
func listeners(cluster *v1alpha1.KafkaCluster) []v1alpha1.Listener {
	e := cluster.Spec.External
	if e == nil {
		return cluster.Spec.EffectiveListeners()
	}
	if !external.Sasl(e) {
		return nil
	}
	l := v1alpha1.Listener{Name: external.Listener, Encryption: v1alpha1.EncryptionTLS}
	l.Authentication = &v1alpha1.ListenerAuthentication{}
	for _, row := range mechanism.Rows {
		if offeredOutside(row) {
			l.Authentication.Mechanisms = append(l.Authentication.Mechanisms, row.Name)
		}
	}
	if e.TLS == nil {
		l.Encryption = v1alpha1.EncryptionNone
	}
	return []v1alpha1.Listener{l}
}

func offeredOutside(row mechanism.Row) bool { return row.Outside == mechanism.OutsideToo }

// locate fills in addresses.
func (e *Endpoint) locate(cluster *v1alpha1.KafkaCluster, l v1alpha1.Listener) {
	i := slices.IndexFunc(cluster.Status.Listeners, func(s v1alpha1.ListenerStatus) bool { return s.Name == l.Name })
	if i < 0 {
		return
	}
	pods := map[int32]string{}
	for _, node := range cluster.Status.Nodes {
		pods[node.ID] = node.Pod
	}
	e.Bootstrap = cluster.Status.Listeners[i].BootstrapServers
	e.Addresses = map[int32]Address{}
	for _, a := range cluster.Status.Listeners[i].Addresses {
		advertised, atPod := net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), ""
		if pod := pods[a.NodeID]; pod != "" {
			atPod = fmt.Sprintf("%s.%s-nodes.%s.svc:%d", pod, cluster.Name, cluster.Namespace, l.Port)
		}
		e.Addresses[a.NodeID] = Address{Dial: exposure.Of(l.Exposure.Type).Dial(advertised, atPod), ServerName: a.Host}
	}
}

// Protocol is the value of security.protocol.
func (e Endpoint) Protocol() string {
	if e.TLS {
		return "SASL_SSL"
	}
	return "SASL_PLAINTEXT"
}

// For returns the endpoint at which logins by a mechanism are proven: the first that offers it.
func For(endpoints []Endpoint, m v1alpha1.Mechanism) (Endpoint, bool) {
	i := slices.IndexFunc(endpoints, func(e Endpoint) bool { return slices.Contains(e.Mechanisms, m) })
	if i < 0 {
		return Endpoint{}, false
	}
	return endpoints[i], true
}

// NotOffered says which of a user's mechanisms no listener offers; nil = all are offered.
func NotOffered(cluster *v1alpha1.KafkaCluster, mechanisms []v1alpha1.Mechanism) *verdict.Verdict {
	endpoints := Endpoints(cluster, mechanisms)
	var lacking []string
	for _, m := range mechanisms {
		if _, ok := For(endpoints, m); !ok {
			lacking = append(lacking, string(m))
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	if cluster.IsExternal() {
		return notOfferedOutside(cluster, lacking)
	}
	var offers []string
	for _, l := range listeners(cluster) {
		offer := "nobody logs in"
		if l.Authentication != nil {
			offer = join(l.Authentication.Mechanisms)
		}
		offers = append(offers, fmt.Sprintf("%s (%s)", l.Name, offer))
	}
	fault := verdict.Stalled(ReasonMechanism, mechanismsField,
		"no listener of KafkaCluster %q offers %s; its listeners are %s; choose one of theirs, or add it to a listener",
		cluster.Name, strings.Join(lacking, ", "), strings.Join(offers, ", "))
	return &fault
}

const mechanismsField = "spec.authentication.mechanisms"

func notOfferedOutside(cluster *v1alpha1.KafkaCluster, lacking []string) *verdict.Verdict {
	fault := verdict.Stalled(ReasonMechanism, mechanismsField,
		"%s: KafkaCluster %q is external, and the operator has no access to the files in which its brokers keep such passwords; "+
			"use %s", strings.Join(lacking, ", "), cluster.Name, mechanism.Names(offeredOutside))
	if !external.Sasl(cluster.Spec.External) {
		fault = verdict.Stalled(ReasonMechanism, "spec.clusterRef",
			"the operator reaches KafkaCluster %q at a listener without SASL, so that no user could log in there; "+
				"in spec.external of the KafkaCluster, name a listener with SASL", cluster.Name)
	}
	return &fault
}

// Refused says why a user cannot be cared for in an external cluster, of which the operator knows that it logs in there as
// self; nil = it can.
func Refused(cluster *v1alpha1.KafkaCluster, name, self string) *verdict.Verdict {
	if !cluster.IsExternal() {
		return nil
	}
	if needs := external.Lacks(cluster, kafka.FeatureScram); needs != "" {
		fault := verdict.Stalled(ReasonTooOld, "spec.clusterRef",
			"a user's SCRAM credentials need %s, and KafkaCluster %q is older; upgrade it, or delete this KafkaUser", needs, cluster.Name)
		return &fault
	}
	if name == self {
		fault := verdict.Stalled(ReasonOwn, "spec.name",
			"the operator itself logs in to KafkaCluster %q as user %q, and would lock itself out; choose another name, "+
				"or give the operator a user of its own", cluster.Name, name)
		return &fault
	}
	return nil
}

func join(mechanisms []v1alpha1.Mechanism) string {
	names := make([]string, len(mechanisms))
	for i, m := range mechanisms {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}
