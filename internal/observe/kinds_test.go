package observe

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// Whatever a cluster is made of is listed, watched, looked for past the cache and known to a successor: all of them walk
// this table.
func TestEveryKindOfAClusterHasARow(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range Kinds {
		v := reflect.ValueOf(kind)
		for i := range v.NumField() {
			if v.Field(i).Kind() != reflect.Bool && v.Field(i).IsZero() {
				t.Fatalf("%s lacks %s", kind.Name, v.Type().Field(i).Name)
			}
		}
		if seen[kind.Name] {
			t.Errorf("%s has two rows", kind.Name)
		}
		seen[kind.Name] = true
		object := kind.New()
		if items, err := meta.GetItemsPtr(kind.NewList()); err != nil ||
			reflect.TypeOf(items).Elem().Elem() != reflect.TypeOf(object).Elem() {
			t.Errorf("the list of %s holds %T: %v", kind.Name, items, err)
		}
		live := &Live{}
		object.SetName("events")
		live.Add(object)
		for _, other := range Kinds {
			is := other.Name == kind.Name
			if live.Has(model.ObjectName{Kind: other.Name, Name: "events"}) != is || (len(live.All(other)) == 1) != is {
				t.Errorf("a %s is among the objects of kind %s: %t, want %t", kind.Name, other.Name, !is, is)
			}
		}
		if live.Has(model.ObjectName{Kind: kind.Name, Name: "another"}) {
			t.Errorf("a %s is taken for another", kind.Name)
		}
	}
	c := &model.Cluster{Name: "events", Walls: model.Walls{Ingress: true}, Listeners: []model.Listener{
		{Name: "clients", Service: "events-clients", TLS: true, Families: []corev1.IPFamily{corev1.IPv4Protocol}}},
		Pools: []model.Pool{{Name: "main", StatefulSet: "events-main", Broker: true, Volumes: []v1alpha1.Volume{{Name: "data"}}}},
		Nodes: []model.Node{{Pool: "main", PodName: "events-main-0"}}}
	named := map[string]bool{}
	for _, name := range c.ObjectNames() {
		named[name.Kind] = true
	}
	if !reflect.DeepEqual(named, seen) {
		t.Errorf("a cluster has objects of the kinds %v, and the table has %v", named, seen)
	}
}
