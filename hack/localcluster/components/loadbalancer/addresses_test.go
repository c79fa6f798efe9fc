package loadbalancer

import (
	"fmt"
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
	pools := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30")}
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
		"asked for, and nowhere":          {svc("c", "", 9094, Address+"=10.9.0.2"), "no address of [10.0.0.0/30]"},
		"asked for in a family too many":  {svc("c", "", 9094, Address+"=10.0.0.3,fd00::3"), "\"fd00::3\" is no address of"},
	} {
		got, err := assign(pools, c.s, all)
		if err != nil && strings.Contains(err.Error(), c.want) {
			continue
		}
		if err != nil || len(got) != 1 || got[0].String() != c.want {
			t.Errorf("%s: %s (error %v), expected %s", name, got, err, c.want)
		}
	}
	full := append(all, svc("c", "10.0.0.3", 1))
	if a, err := assign(pools, svc("d", "", 1), full); err == nil {
		t.Errorf("%s is handed out twice", a)
	}
}

func in(s *corev1.Service, families ...corev1.IPFamily) *corev1.Service {
	s.Spec.IPFamilies = families
	return s
}

func TestAddressesOfEachFamily(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	pools := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30"), netip.MustParsePrefix("fd00::/126")}
	both := in(svc("a", "10.0.0.1", 9094, Shared+"=x"), v4, v6)
	both.Status.LoadBalancer.Ingress = append(both.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: "fd00::1"})
	all := []*corev1.Service{both}
	for name, c := range map[string]struct {
		s    *corev1.Service
		want string // or a part of the error
	}{
		"IPv4 alone":                            {in(svc("c", "", 9094), v4), "[10.0.0.2]"},
		"IPv6 alone":                            {in(svc("c", "", 9094), v6), "[fd00::2]"},
		"both, in the order of the Service":     {in(svc("c", "", 9094), v6, v4), "[fd00::2 10.0.0.2]"},
		"those that it has":                     {both, "[10.0.0.1 fd00::1]"},
		"a second family beside the first":      {in(svc("c", "10.0.0.3", 9094), v4, v6), "[10.0.0.3 fd00::2]"},
		"one family less":                       {in(svc("a", "10.0.0.1", 9094), v4), "[10.0.0.1]"},
		"both shared":                           {in(svc("c", "", 9095, Shared+"=x"), v4, v6), "[10.0.0.1 fd00::1]"},
		"one asked for, one free":               {in(svc("c", "", 9094, Address+"=fd00::3"), v4, v6), "[10.0.0.2 fd00::3]"},
		"both asked for":                        {in(svc("c", "", 9094, Address+"=10.0.0.3,fd00::3"), v4, v6), "[10.0.0.3 fd00::3]"},
		"asked for, but not of its family":      {in(svc("c", "", 9094, Address+"=fd00::3"), v4), "the Service has no IPv6 address"},
		"asked for in IPv6, and taken":          {in(svc("c", "", 9094, Address+"=fd00::1"), v6), "that of Service /a"},
		"without a word about families, IPv4's": {svc("c", "", 9094), "[10.0.0.2]"},
	} {
		got, err := assign(pools, c.s, all)
		if err != nil && strings.Contains(err.Error(), c.want) {
			continue
		}
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: %s (error %v), expected %s", name, got, err, c.want)
		}
	}
	if got, err := assign(pools[:1], in(svc("c", "", 9094), v6), nil); err == nil {
		t.Errorf("%s from a cluster without IPv6", got)
	}
}
