package claim

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// GrantTo returns what a namespace may do beyond what every admitted one may.
func GrantTo(access *v1alpha1.Access, namespace string) v1alpha1.AccessGrant {
	if access != nil {
		for _, g := range access.Grants {
			if g.Namespace == namespace {
				return g
			}
		}
	}
	return v1alpha1.AccessGrant{Namespace: namespace}
}

// MayName tells whether an object of another namespace than the cluster's may have, or give access to, a name. A prefix
// of names is the same question: all that begins with it then begins with one of the cluster's.
func MayName(access *v1alpha1.Access, namespace, name string) bool {
	return access == nil || access.Names == nil || slices.ContainsFunc(Prefixes(access, namespace),
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Prefixes are the beginnings of names that a namespace may have; none = any name.
func Prefixes(access *v1alpha1.Access, namespace string) (all []string) {
	if access == nil || access.Names == nil {
		return nil
	}
	for _, p := range access.Names.Prefixes {
		all = append(all, strings.Replace(string(p), "{namespace}", namespace, 1))
	}
	return all
}

// Permits tells whether an object of a namespace may do something in a cluster whose namespace is home.
func Permits(access *v1alpha1.Access, home, namespace string, p v1alpha1.AccessPermission) bool {
	return namespace == home || slices.Contains(GrantTo(access, namespace).Permissions, p)
}

// Admits tells whether a cluster takes topics and users from another namespace with the given labels. An error means
// that the selector is none.
func Admits(access *v1alpha1.Access, namespace map[string]string) (bool, error) {
	if access == nil {
		return false, nil
	}
	selector := metav1.LabelSelector{MatchLabels: access.Namespaces.MatchLabels}
	for _, e := range access.Namespaces.MatchExpressions {
		requirement := metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator, Values: e.Values}
		selector.MatchExpressions = append(selector.MatchExpressions, requirement)
	}
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		return false, fmt.Errorf("spec.access.namespaces: %w", err)
	}
	return s.Matches(labels.Set(namespace)), nil
}
