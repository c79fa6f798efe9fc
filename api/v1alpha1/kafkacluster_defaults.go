package v1alpha1

import "slices"

// HasRole tells whether the nodes of a pool have a role. A pool without roles has both.
func (p Pool) HasRole(role Role) bool {
	return len(p.Roles) == 0 || slices.Contains(p.Roles, role)
}

// ReplicasOf is how many nodes a pool of the spec has: what it says itself, or spec.replicas. 0 = neither is there.
func (s *KafkaClusterSpec) ReplicasOf(p Pool) int32 {
	switch {
	case p.Replicas != nil:
		return *p.Replicas
	case s.Replicas != nil:
		return *s.Replicas
	}
	return 0
}

// EffectiveListeners returns the listeners of a spec, or the default: one that clients inside Kubernetes reach. The
// default is not in the CRD, because the API server would add it to external clusters too.
func (s *KafkaClusterSpec) EffectiveListeners() []Listener {
	if len(s.Listeners) > 0 {
		return s.Listeners
	}
	return []Listener{{
		Name: "clients", Port: 9092,
		Authentication: &ListenerAuthentication{Mechanisms: []Mechanism{MechanismScram512}},
	}}
}

// AllSuperUsers are the names that ACLs do not bind, however they come.
func (s *KafkaClusterSpec) AllSuperUsers() []string {
	if s.Authorization == nil {
		return nil
	}
	return slices.Concat(s.Authorization.SuperUsers, s.Authorization.FederatedSuperUsers)
}
