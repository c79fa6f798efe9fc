package loadbalancer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of Services.
const (
	// Address asks for an address of the range, or for one of each family with a comma. With another value than before,
	// the Service moves there.
	Address = "localcluster/address"
	// Hostname makes the load balancer tell this name and no address, as some clouds do.
	Hostname = "localcluster/hostname"
	// Pending keeps a Service without an address for as long as it is there: a cloud that has none left.
	Pending = "localcluster/pending"
	// Shared is MetalLB's: Services with the same value and different ports may have one address.
	Shared = "metallb.io/allow-shared-ip"
)

// assign gives a Service an address of each of its families, in their order.
func assign(pools []netip.Prefix, s *corev1.Service, all []*corev1.Service) ([]netip.Addr, error) {
	asked, err := askedFor(pools, s)
	if err != nil {
		return nil, err
	}
	families := s.Spec.IPFamilies
	if len(families) == 0 {
		families = []corev1.IPFamily{familyOf(pools[0].Addr())}
	}
	var addresses []netip.Addr
	for _, family := range families {
		i := slices.IndexFunc(pools, func(p netip.Prefix) bool { return familyOf(p.Addr()) == family })
		if i < 0 {
			return nil, fmt.Errorf("there is no range of %s addresses", family)
		}
		a, err := choose(pools[i], s, all, asked[family])
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, a)
	}
	return addresses, nil
}

func familyOf(a netip.Addr) corev1.IPFamily {
	if a.Is6() {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

// askedFor reads the annotation.
func askedFor(pools []netip.Prefix, s *corev1.Service) (map[corev1.IPFamily]netip.Addr, error) {
	asked := map[corev1.IPFamily]netip.Addr{}
	if s.Annotations[Address] == "" {
		return asked, nil
	}
	for _, text := range strings.Split(s.Annotations[Address], ",") {
		a, err := netip.ParseAddr(text)
		if err != nil || !slices.ContainsFunc(pools, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return nil, fmt.Errorf("annotation %s: %q is no address of %v", Address, text, pools)
		}
		if len(s.Spec.IPFamilies) > 0 && !slices.Contains(s.Spec.IPFamilies, familyOf(a)) {
			return nil, fmt.Errorf("annotation %s: the Service has no %s address", Address, familyOf(a))
		}
		asked[familyOf(a)] = a
	}
	return asked, nil
}

// choose gives a Service its address of a range, which it keeps for as long as nothing else is asked for.
func choose(pool netip.Prefix, s *corev1.Service, all []*corev1.Service, asked netip.Addr) (netip.Addr, error) {
	if a := asked; a.IsValid() {
		if by := taken(a, s, all); by != nil {
			return a, fmt.Errorf("annotation %s: %s is that of Service %s/%s", Address, a, by.Namespace, by.Name)
		}
		return a, nil
	}
	candidates := addressesOf(s)
	for _, other := range all {
		if s.Annotations[Shared] != "" {
			candidates = append(candidates, addressesOf(other)...)
		}
	}
	for _, a := range candidates {
		if pool.Contains(a) && taken(a, s, all) == nil {
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
		if slices.Contains(addressesOf(other), a) && !mayShare(s, other) {
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

func addressesOf(s *corev1.Service) []netip.Addr {
	var addresses []netip.Addr
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil {
			addresses = append(addresses, a)
		}
	}
	return addresses
}
