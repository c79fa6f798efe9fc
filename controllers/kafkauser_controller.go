package controllers

import (
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers/status,verbs=patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers/finalizers,verbs=update
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// KafkaUserReconciler cares for the users of one cluster at a time, many in one flush.
type KafkaUserReconciler struct {
	register[*v1alpha1.KafkaUser, v1alpha1.KafkaUserStatus]
	// apiReader asks the API server: for Secrets of others.
	apiReader client.Reader
	prober    kafka.Prober

	mu sync.Mutex
	// verified remembers which entry of the users file was made from which password, for verifying costs milliseconds.
	verified map[nameKey]verifiedEntry
}

func newKafkaUserReconciler(c common, apiReader client.Reader, prober kafka.Prober) *KafkaUserReconciler {
	r := &KafkaUserReconciler{apiReader: apiReader, prober: prober, verified: map[nameKey]verifiedEntry{}}
	r.begin(c, kafkaUsers)
	r.open, r.forget = r.openPass, r.forgetUser
	return r
}

type verifiedEntry struct {
	passwordHash string
	entry        plainauth.Entry
}

func (r *KafkaUserReconciler) openPass(cluster hostCluster, a admission, all []found[*v1alpha1.KafkaUser]) (*pass[*v1alpha1.KafkaUser, v1alpha1.KafkaUserStatus], inKafka) {
	p := &userPass{KafkaUserReconciler: r, pass: newPass(&r.register, cluster, a)}
	for _, f := range all {
		claim := users.Sort(f.name, f.objects, cluster.id(), a.admits)
		p.claims = append(p.claims, claim)
		p.items = append(p.items, &userItem{Claim: claim})
	}
	return &p.pass, p
}

func (r *KafkaUserReconciler) forgetUser(key nameKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.verified, key)
}
