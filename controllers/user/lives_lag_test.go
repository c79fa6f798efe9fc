package user

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// lag is what a cache shows that is behind: objects of some kinds as they were.
type lag struct {
	users   []v1alpha1.KafkaUser
	secrets []corev1.Secret
	cluster *v1alpha1.KafkaCluster

	ofUsers, ofSecrets, ofCluster bool
}

// look lets the cache catch up, and fall behind from now on.
func (l *lag) look(h *life) {
	h.T.Helper()
	var users v1alpha1.KafkaUserList
	var secrets corev1.SecretList
	for _, list := range []client.ObjectList{&users, &secrets} {
		if err := h.Client.List(context.Background(), list); err != nil {
			h.T.Fatal(err)
		}
	}
	l.users, l.secrets, l.cluster = users.Items, secrets.Items, h.cluster()
}

// behind is a client that reads from a cache, which may be behind.
func (h *life) behind(c client.Client) client.Client {
	inner, ok := c.(client.WithWatch)
	if !ok {
		h.T.Fatalf("%T cannot be watched", c)
	}
	return interceptor.NewClient(inner, interceptor.Funcs{Get: h.lagGet, List: h.lagList})
}

func (h *life) lagGet(
	ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
) error {
	switch into := o.(type) {
	case *corev1.Secret:
		if h.lag == nil || !h.lag.ofSecrets {
			break
		}
		for _, s := range h.lag.secrets {
			if client.ObjectKeyFromObject(&s) == key && s.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
				s.DeepCopyInto(into)
				return nil
			}
		}
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	case *v1alpha1.KafkaCluster:
		if h.lag == nil || !h.lag.ofCluster {
			break
		}
		h.lag.cluster.DeepCopyInto(into)
		return nil
	}
	return c.Get(ctx, key, o, opts...)
}

func (h *life) lagList(
	ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption,
) error {
	into, is := list.(*v1alpha1.KafkaUserList)
	if !is || h.lag == nil || !h.lag.ofUsers {
		return c.List(ctx, list, opts...)
	}
	var options client.ListOptions
	options.ApplyOptions(opts)
	into.Items = nil
	for _, u := range h.lag.users {
		if options.FieldSelector != nil {
			field, value, _ := strings.Cut(options.FieldSelector.String(), "=")
			if has := kafkaUsers.Indexes()[field](&u); len(has) == 0 || has[0] != value {
				continue
			}
		}
		into.Items = append(into.Items, *u.DeepCopy())
	}
	return nil
}
