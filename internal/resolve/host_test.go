package resolve

import (
	"reflect"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

func login(mechanisms ...v1alpha1.Mechanism) *v1alpha1.ListenerAuthentication {
	return &v1alpha1.ListenerAuthentication{Mechanisms: mechanisms}
}

func TestUsersLearnOfTheirClusterWhatSpecAndStatusSay(t *testing.T) {
	cluster := &v1alpha1.KafkaCluster{}
	cluster.Namespace, cluster.Name = "shop", "events"
	cluster.Spec.Listeners = []v1alpha1.Listener{
		{Name: "outside", Port: 9094, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort},
			Encryption:     v1alpha1.EncryptionTLS,
			Authentication: login(v1alpha1.MechanismPlain)},
		{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionNone},
		{Name: "later", Port: 9095},
	}
	cluster.Status.Nodes = []v1alpha1.NodeStatus{{ID: 0, Pod: "events-main-0"}, {ID: 1}}
	cluster.Status.Listeners = []v1alpha1.ListenerStatus{
		{Name: "clients", BootstrapServers: "events-clients:9092",
			Addresses: []v1alpha1.NodeAddress{{NodeID: 0, Host: "a", Port: 9092}}},
		{Name: "outside", BootstrapServers: "10.0.0.7:30000", Addresses: []v1alpha1.NodeAddress{
			{NodeID: 0, Host: "10.0.0.7", Port: 30100}, {NodeID: 1, Host: "fd00::7", Port: 30101}}},
	}
	want := model.Host{
		Namespace: "shop", Name: "events", Authorizes: true, Nodes: []int32{0, 1},
		Listeners: []model.HostListener{
			{Name: "outside", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain},
				Bootstrap: "10.0.0.7:30000",
				Addresses: map[int32]model.BrokerAddress{
					0: {Dial: "events-main-0.events-nodes.shop.svc:9094", ServerName: "10.0.0.7"},
					1: {Dial: "[fd00::7]:30101", ServerName: "fd00::7"},
				}},
			{Name: "clients", Inside: true, Bootstrap: "events-clients:9092",
				Addresses: map[int32]model.BrokerAddress{0: {Dial: "a:9092", ServerName: "a"}}},
			{Name: "later", TLS: true, Inside: true, Late: true},
		},
	}
	if got := HostOf(cluster); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestWhetherACLsAreMindedFollowsSpecThenRecordThenListeners(t *testing.T) {
	secured := []v1alpha1.Listener{{Name: "clients", Port: 9092, Authentication: login(v1alpha1.MechanismPlain)}}
	open := []v1alpha1.Listener{{Name: "clients", Port: 9092}}
	asked := func(t v1alpha1.AuthorizationType) *v1alpha1.Authorization { return &v1alpha1.Authorization{Type: t} }
	recorded := func(t v1alpha1.AuthorizationType) *v1alpha1.Defaults { return &v1alpha1.Defaults{Authorization: t} }
	for name, c := range map[string]struct {
		listeners []v1alpha1.Listener
		asked     *v1alpha1.Authorization
		recorded  *v1alpha1.Defaults
		want      bool
	}{
		"somebody logs in":       {secured, nil, nil, true},
		"nobody logs in":         {open, nil, nil, false},
		"the record counts more": {secured, nil, recorded(v1alpha1.AuthorizationNone), false},
		"the spec counts most": {open, asked(v1alpha1.AuthorizationSimple),
			recorded(v1alpha1.AuthorizationNone), true},
		"the spec says no": {secured, asked(v1alpha1.AuthorizationNone),
			recorded(v1alpha1.AuthorizationSimple), false},
		"super users say nothing":   {secured, asked(""), nil, true},
		"and the record still does": {secured, asked(""), recorded(v1alpha1.AuthorizationNone), false},
	} {
		cluster := &v1alpha1.KafkaCluster{}
		cluster.Spec.Listeners, cluster.Spec.Authorization, cluster.Status.Defaults = c.listeners, c.asked, c.recorded
		if got := HostOf(cluster).Authorizes; got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A spec that is refused changes nothing in Kafka, and users follow what is in force.
func TestUsersFollowWhatDecidesAndNotWhatIsRefused(t *testing.T) {
	cluster := &v1alpha1.KafkaCluster{}
	cluster.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationCustom, Class: "a.B"}
	if h := HostOf(cluster); h.Authorizes || h.Authorizer != "a.B" {
		t.Errorf("nothing is known but the spec: %+v", h)
	}
	cluster.Status.Authorization = &v1alpha1.AuthorizationStatus{Type: v1alpha1.AuthorizationSimple}
	if h := HostOf(cluster); !h.Authorizes || h.Authorizer != "" {
		t.Errorf("ACLs are in force: %+v", h)
	}
	cluster.Spec.Authorization = nil
	cluster.Status.Authorization = &v1alpha1.AuthorizationStatus{Type: v1alpha1.AuthorizationCustom, Class: "a.C"}
	if h := HostOf(cluster); h.Authorizes || h.Authorizer != "a.C" {
		t.Errorf("a class is in force: %+v", h)
	}
}

// Users who can do without a listener do not wait for one that clients are not told of.
func TestAListenerIsLateWhileItWaits(t *testing.T) {
	cluster := &v1alpha1.KafkaCluster{}
	cluster.Spec.Listeners = []v1alpha1.Listener{
		{Name: "external", Port: 9094, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureLoadBalancer}},
		{Name: "outside", Port: 9095, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort}},
	}
	for name, c := range map[string]struct {
		status []v1alpha1.ListenerStatus
		late   []bool
	}{
		"nothing is known":           {nil, []bool{true, true}},
		"a moment before":            {[]v1alpha1.ListenerStatus{{Name: "external"}, {Name: "outside"}}, []bool{true, false}},
		"the load balancer is known": {[]v1alpha1.ListenerStatus{{Name: "external", BootstrapServers: "lb:9094"}}, []bool{false, true}},
		"a broker does not have it": {[]v1alpha1.ListenerStatus{{Name: "outside", Message: "broker 2 does not have it yet"}},
			[]bool{true, true}},
	} {
		for i, l := range HostOf(&v1alpha1.KafkaCluster{Spec: cluster.Spec,
			Status: v1alpha1.KafkaClusterStatus{Listeners: c.status}}).Listeners {
			if l.Late != c.late[i] {
				t.Errorf("%s: %+v is late: %t", name, l, l.Late)
			}
		}
	}
}

// A spec that is refused changes nothing of what users are told: brokers go on with the one before.
func TestUsersAreToldWhatIsInForce(t *testing.T) {
	cluster := &v1alpha1.KafkaCluster{}
	cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9192, Encryption: v1alpha1.EncryptionNone,
		Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort}}}
	inForce := v1alpha1.ListenerStatus{Type: v1alpha1.ExposureInternal, Port: 9092, SecurityProtocol: "SASL_SSL",
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}, BootstrapServers: "b:9092"}
	cluster.Status.Listeners = []v1alpha1.ListenerStatus{inForce, inForce}
	cluster.Status.Listeners[0].Name, cluster.Status.Listeners[1].Name = "clients", "removed"
	got := HostOf(cluster).Listeners
	if len(got) != 2 || got[1].Name != "removed" {
		t.Fatalf("%+v", got)
	}
	for _, l := range got {
		if !l.TLS || !l.Inside || l.Bootstrap != "b:9092" || l.Mechanisms[0] != v1alpha1.MechanismPlain || l.Late {
			t.Errorf("%+v", l)
		}
	}
}

// What is advertised in place of the pod's name may lead through a router that only others reach.
func TestTheOperatorDialsThePodWhereSomethingElseIsAdvertised(t *testing.T) {
	cluster := &v1alpha1.KafkaCluster{}
	cluster.Namespace, cluster.Name = "shop", "events"
	cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9092,
		Exposure: v1alpha1.Exposure{Advertised: &v1alpha1.Advertised{HostTemplate: "b-{nodeId}.org"}}}}
	cluster.Status.Nodes = []v1alpha1.NodeStatus{{ID: 0, Pod: "events-main-0"}}
	cluster.Status.Listeners = []v1alpha1.ListenerStatus{{Name: "clients",
		Addresses: []v1alpha1.NodeAddress{{NodeID: 0, Host: "b-0.org", Port: 443}}}}
	want := model.BrokerAddress{Dial: "events-main-0.events-nodes.shop.svc:9092", ServerName: "b-0.org"}
	if got := HostOf(cluster).Listeners[0].Addresses[0]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
