package loadbalancer

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of Services.
const (
	// Address asks for an address of the range. With another value than before, the Service moves there.
	Address = "localcluster/address"
	// Hostname makes the load balancer tell this name and no address, as some clouds do.
	Hostname = "localcluster/hostname"
	// Pending keeps a Service without an address for as long as it is there: a cloud that has none left.
	Pending = "localcluster/pending"
	// Shared is MetalLB's: Services with the same value and different ports may have one address.
	Shared = "metallb.io/allow-shared-ip"
)

// choose gives a Service its address, which it keeps for as long as nothing else is asked for.
func choose(pool netip.Prefix, s *corev1.Service, all []*corev1.Service) (netip.Addr, error) {
	if asked := s.Annotations[Address]; asked != "" {
		a, err := netip.ParseAddr(asked)
		if err != nil || !pool.Contains(a) {
			return a, fmt.Errorf("annotation %s: %q is no address of %s", Address, asked, pool)
		}
		if by := taken(a, s, all); by != nil {
			return a, fmt.Errorf("annotation %s: %s is that of Service %s/%s", Address, a, by.Namespace, by.Name)
		}
		return a, nil
	}
	if a, ok := addressOf(s); ok && pool.Contains(a) && taken(a, s, all) == nil {
		return a, nil
	}
	for _, other := range all {
		if a, ok := addressOf(other); ok && s.Annotations[Shared] != "" && pool.Contains(a) && taken(a, s, all) == nil {
			return a, nil
		}
	}
	// The first address of a range is that of the network.
	for a := pool.Masked().Addr().Next(); pool.Contains(a); a = a.Next() {
		if taken(a, s, all) == nil {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all addresses of %s are taken", pool)
}

// taken is a Service that has the address and does not share it with s; nil = there is none.
func taken(a netip.Addr, s *corev1.Service, all []*corev1.Service) *corev1.Service {
	for _, other := range all {
		if other.UID == s.UID {
			continue
		}
		if has, ok := addressOf(other); ok && has == a && !mayShare(s, other) {
			return other
		}
	}
	return nil
}

func mayShare(s, other *corev1.Service) bool {
	return s.Annotations[Shared] != "" && s.Annotations[Shared] == other.Annotations[Shared] &&
		!slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool {
			return slices.ContainsFunc(other.Spec.Ports, func(q corev1.ServicePort) bool {
				return p.Port == q.Port && p.Protocol == q.Protocol
			})
		})
}

func addressOf(s *corev1.Service) (netip.Addr, bool) {
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil {
			return a, true
		}
	}
	return netip.Addr{}, false
}
