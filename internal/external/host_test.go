package external

import (
	"reflect"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestUsersOfAnExternalClusterLogInWhereTheOperatorDoes(t *testing.T) {
	c := &v1alpha1.KafkaCluster{Spec: v1alpha1.KafkaClusterSpec{External: spec("SCRAM-SHA-512", true)}}
	c.Namespace, c.Name = "shop", "legacy"
	o := &kafka.Overview{ClusterID: "id", Lacking: []kafka.Feature{kafka.FeatureScram},
		Brokers: []kafka.Broker{{ID: 3, Host: "b3", Port: 9093}}}
	c.Status = StatusOf(c, o, nil, "", now)
	want := model.Host{
		Namespace: "shop", Name: "legacy", External: true, Authorizes: true, Operator: "castellan", Nodes: []int32{3},
		NeedsForScram: "Kafka 3.5 (with ZooKeeper 2.7)",
		Listeners: []model.HostListener{{
			Name: Listener, TLS: true, Inside: true,
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512, v1alpha1.MechanismScram256},
			Bootstrap:  "a.example.com:9092,b.example.com:9092",
			Addresses:  map[int32]model.BrokerAddress{3: {Dial: "b3:9093", ServerName: "b3"}},
		}},
	}
	if got := HostOf(c, "castellan"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	c.Spec.External.Authentication.Mechanism = v1alpha1.ExternalTLSCertificate
	if got := HostOf(c, ""); len(got.Listeners) != 1 || len(got.Listeners[0].Mechanisms) > 0 {
		t.Errorf("nobody logs in by SASL there: %+v", got.Listeners)
	}
}
