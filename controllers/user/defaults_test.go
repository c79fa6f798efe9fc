package user

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func (w *world) cluster() *v1alpha1.KafkaCluster {
	w.T.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := w.Client.Get(w.T.Context(), controllertest.ClusterKey, c); err != nil {
		w.T.Fatal(err)
	}
	return c
}

// setDefaults changes spec.defaultQuotas, and looks at what has no object.
func (w *world) setDefaults(q *v1alpha1.Quotas) {
	w.T.Helper()
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.DefaultQuotas = q })
	w.wake()
}

// wantDefaults compares the default quotas of Kafka, and those on record as the operator's.
func (w *world) wantDefaults(when string, live map[string]float64, own ...string) {
	w.T.Helper()
	if got := w.Kafka.QuotasOf[kafka.DefaultUser]; !maps.Equal(got, live) {
		w.T.Fatalf("%s, Kafka has %v, want %v", when, got, live)
	}
	if got := ownDefaults(w.cluster()); !slices.Equal(got, own) {
		w.T.Fatalf("%s, on record are %v, want %v", when, got, own)
	}
}

func TestDefaultQuotasAreSetAndTakenBack(t *testing.T) {
	const produce, consume, request = "producer_byte_rate", "consumer_byte_rate", "request_percentage"
	for name, cluster := range map[string]*v1alpha1.KafkaCluster{
		"own": controllertest.ReadyCluster(1, inside, outside), "external": controllertest.ReadyExternal(),
	} {
		t.Run(name, func(t *testing.T) {
			w := newUsersOf(t, cluster.DeepCopy())
			w.AccessTo.Username = "castellan"
			w.Kafka.QuotasOf[kafka.DefaultUser] = map[string]float64{consume: 7}
			w.wake()
			w.wantDefaults("without the field", map[string]float64{consume: 7})
			w.setDefaults(&v1alpha1.Quotas{ProducerByteRate: controllertest.PtrTo(int64(1)),
				RequestPercentage: controllertest.PtrTo(int32(50))})
			w.wantDefaults("with the field", map[string]float64{produce: 1, consume: 7, request: 50}, produce, request)
			w.WantSilence(defaultUser)
			w.restart()
			w.Reset()
			w.wake()
			if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
				t.Errorf("at rest: %v, %v", w.Requests, w.Kafka.Requests)
			}
			w.Kafka.QuotasOf[kafka.DefaultUser][produce] = 9
			w.Settle(defaultUser)
			w.wantDefaults("after a drift", map[string]float64{produce: 1, consume: 7, request: 50}, produce, request)
			w.setDefaults(&v1alpha1.Quotas{ProducerByteRate: controllertest.PtrTo(int64(2))})
			w.wantDefaults("with less", map[string]float64{produce: 2, consume: 7}, produce)
			w.restart()
			w.setDefaults(nil)
			w.wantDefaults("at the end", map[string]float64{consume: 7})
			w.WantSilence(defaultUser)
		})
	}
}

func TestADefaultQuotaIsOnRecordBeforeItIsSet(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Kafka.Lose = "quota-alter"
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.DefaultQuotas = &v1alpha1.Quotas{ProducerByteRate: controllertest.PtrTo(int64(1))}
	})
	_ = w.Once(defaultUser)
	w.wantDefaults("while the answer is lost", map[string]float64{"producer_byte_rate": 1}, "producer_byte_rate")
	w.restart()
	w.setDefaults(nil)
	w.wantDefaults("at the end", map[string]float64{})
}

func TestDefaultQuotasStandBesideUsers(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.setDefaults(&v1alpha1.Quotas{ConsumerByteRate: controllertest.PtrTo(int64(3))})
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantDefaults("beside a user", map[string]float64{"consumer_byte_rate": 3}, "consumer_byte_rate")
	if len(w.Kafka.QuotasOf["app"]) != 1 {
		t.Errorf("%v", w.Kafka.QuotasOf)
	}
	w.WantSilence("app", defaultUser)
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantDefaults("without it", map[string]float64{"consumer_byte_rate": 3}, "consumer_byte_rate")
}

func TestADefaultQuotaThatKafkaRefusesHoldsNobodyUp(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Kafka.Refuse[kafka.DefaultUser] = &kafka.Refusal{Code: "INVALID_REQUEST", Message: "no"}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.DefaultQuotas = &v1alpha1.Quotas{ConsumerByteRate: controllertest.PtrTo(int64(3))}
	})
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	_ = w.Once("app", defaultUser)
	delete(w.Kafka.Refuse, kafka.DefaultUser)
	w.wantUser("app", "Ready")
	w.Settle(defaultUser)
	w.wantDefaults("once Kafka takes it", map[string]float64{"consumer_byte_rate": 3}, "consumer_byte_rate")
}

func TestARefusedDefaultQuotaIsToldOnce(t *testing.T) {
	w := newUserWorld(t, 1)
	refuse := func(why string) {
		w.Kafka.Refuse[kafka.DefaultUser] = &kafka.Refusal{Code: "INVALID_REQUEST", Message: why}
	}
	count := func() int { return strings.Count(w.told(), "DefaultQuotasRefused") }
	refuse("no")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.DefaultQuotas = &v1alpha1.Quotas{ConsumerByteRate: controllertest.PtrTo(int64(3))}
	})
	for range 3 {
		_ = w.Once(defaultUser)
		w.Clock.Move(time.Minute)
	}
	if n := count(); n != 1 {
		t.Errorf("told %d times", n)
	}
	refuse("not so either")
	_ = w.Once(defaultUser)
	if n := count(); n != 1 {
		t.Errorf("another refusal is told %d times", n)
	}
	delete(w.Kafka.Refuse, kafka.DefaultUser)
	_ = w.Once(defaultUser)
	refuse("not so either")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.DefaultQuotas.ConsumerByteRate = controllertest.PtrTo(int64(4))
	})
	_ = w.Once(defaultUser)
	if n := count(); n != 1 {
		t.Errorf("one that comes back is told %d times", n)
	}
}
