package user

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/users"
)

// InCache is what the manager's cache keeps of KafkaUsers and Secrets: all, and of connection Secrets, of which there
// may be tens of thousands, what the operator reads of them. Texts that many of them have are kept once.
func InCache() func(any) (any, error) {
	strip, known := cache.TransformStripManagedFields(), &anchors{all: map[[sha256.Size]byte][]byte{}}
	return func(object any) (any, error) {
		switch o := object.(type) {
		case *v1alpha1.KafkaUser:
			shareUser(o)
		case *corev1.Secret:
			if users.Shrink(o); isConnection(o) {
				shareSecret(o)
				if pem := o.Data[pki.TLSAuthority]; len(pem) > 0 {
					o.Data[pki.TLSAuthority] = known.one(pem)
				}
			}
		}
		return strip(object)
	}
}

func isConnection(secret *corev1.Secret) bool { return secret.Type == users.SecretType }

// anchors are the certificates of authorities that Secrets name, each once.
type anchors struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte][]byte
}

// maxAnchors bounds what is remembered: those that change let go of the others, which are remembered anew.
const maxAnchors = 256

func (a *anchors) one(pem []byte) []byte {
	sum := sha256.Sum256(pem)
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, is := a.all[sum]; is {
		return known
	}
	if len(a.all) >= maxAnchors {
		clear(a.all)
	}
	a.all[sum] = bytes.Clone(pem)
	return a.all[sum]
}

// shareUser keeps the texts that KafkaUsers have in common once.
func shareUser(u *v1alpha1.KafkaUser) {
	share(&u.APIVersion, &u.Kind, &u.Namespace, &u.Spec.ClusterRef.Name)
	shareAll(u.Finalizers)
	shareAll(u.Spec.Authentication.Mechanisms)
	for n := range u.Spec.ACLs {
		rule := &u.Spec.ACLs[n]
		shareAll(rule.Operations)
		share(&rule.Permission, &rule.Host, &rule.Resource.Name)
		share(&rule.Resource.Type)
		share(&rule.Resource.Pattern)
	}
	shareAll(u.Status.ACLs)
	share(&u.Spec.DeletionPolicy, &u.Status.DeletionPolicy)
	u.Status.Conditions = slices.Clip(slices.Clone(u.Status.Conditions))
	for n := range u.Status.Conditions {
		c := &u.Status.Conditions[n]
		share(&c.Type, &c.Reason, &c.Message)
		share(&c.Status)
	}
	if c := u.Status.Credentials; c != nil {
		share(&c.ClusterID)
		for n := range c.Mechanisms {
			share(&c.Mechanisms[n].Mechanism)
		}
	}
}

// shareSecret keeps the texts that connection Secrets have in common once.
func shareSecret(secret *corev1.Secret) {
	share(&secret.Type)
	share(&secret.Namespace)
	for _, texts := range []*map[string]string{&secret.Labels, &secret.Annotations} {
		if len(*texts) == 0 {
			continue
		}
		next := make(map[string]string, len(*texts))
		for key, value := range *texts {
			next[shared(key)] = value
		}
		*texts = next
	}
	for key, value := range secret.Labels {
		secret.Labels[key] = shared(value)
	}
	data := make(map[string][]byte, len(secret.Data))
	for key, value := range secret.Data {
		data[shared(key)] = bytes.Clone(value) // not a part of the message that it came with
	}
	if len(data) > 0 {
		secret.Data = data
	}
	for n := range secret.OwnerReferences {
		owner := &secret.OwnerReferences[n]
		share(&owner.APIVersion, &owner.Kind)
	}
}

func share[T ~string](texts ...*T) {
	for _, text := range texts {
		*text = T(shared(string(*text)))
	}
}

func shareAll[T ~string](texts []T) {
	for n := range texts {
		share(&texts[n])
	}
}

func shared(text string) string { return unique.Make(text).Value() }

// same tells whether a Secret that was read, as the cache has it or as it is, is what it shall be.
func same(read, next *corev1.Secret) bool {
	read, next = read.DeepCopy(), next.DeepCopy()
	users.Shrink(read)
	users.Shrink(next)
	return equality.Semantic.DeepEqual(read, next)
}
