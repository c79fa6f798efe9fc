package loadbalancer

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func svc(name, address string, port int32, annotations ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Annotations: map[string]string{}}}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		s.Annotations[key] = value
	}
	s.Spec.Ports = []corev1.ServicePort{{Port: port}}
	if address != "" {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
	}
	return s
}

func TestAddresses(t *testing.T) {
	pool := netip.MustParsePrefix("10.0.0.0/30")
	all := []*corev1.Service{svc("a", "10.0.0.1", 9094, Shared+"=x"), svc("b", "10.0.0.2", 9094)}
	for name, c := range map[string]struct {
		s    *corev1.Service
		want string // or a part of the error
	}{
		"a free one":                      {svc("c", "", 9094), "10.0.0.3"},
		"the one it has":                  {svc("b", "10.0.0.2", 9094), "10.0.0.2"},
		"one of another range is changed": {svc("c", "192.0.2.1", 9094), "10.0.0.3"},
		"one that is shared":              {svc("c", "", 9095, Shared+"=x"), "10.0.0.1"},
		"the same port cannot be":         {svc("c", "", 9094, Shared+"=x"), "10.0.0.3"},
		"with another key":                {svc("c", "", 9095, Shared+"=y"), "10.0.0.3"},
		"the one asked for":               {svc("b", "10.0.0.2", 9094, Address+"=10.0.0.3"), "10.0.0.3"},
		"asked for, and taken":            {svc("c", "", 9094, Address+"=10.0.0.2"), "that of Service /b"},
		"asked for, and nowhere":          {svc("c", "", 9094, Address+"=10.9.0.2"), "no address of 10.0.0.0/30"},
	} {
		got, err := choose(pool, c.s, all)
		if err != nil && strings.Contains(err.Error(), c.want) {
			continue
		}
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %s (error %v), expected %s", name, got, err, c.want)
		}
	}
	full := append(all, svc("c", "10.0.0.3", 1))
	if a, err := choose(pool, svc("d", "", 1), full); err == nil {
		t.Errorf("%s is handed out twice", a)
	}
}
