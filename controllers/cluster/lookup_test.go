package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
)

// house is an API server and the reconciler, which sees through its cache only what bears the operator's label.
type house struct {
	*testing.T
	api   client.WithWatch
	under *Reconciler
	// refusePort has the API server say that a node port is taken.
	refusePort bool
	// applying is called before an object of a kind is applied.
	applying func(kind string)
}

func newHouse(t *testing.T, objects ...client.Object) *house {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cluster := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events", UID: "events-uid", Generation: 1},
		Spec: v1alpha1.KafkaClusterSpec{
			Version:   "4.3.1",
			Listeners: []v1alpha1.Listener{{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionTLS}},
			Pools: []v1alpha1.Pool{{
				Name: "main", Replicas: new(int32(1)), Roles: []v1alpha1.Role{v1alpha1.RoleController, v1alpha1.RoleBroker},
				Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Size: resource.MustParse("1Gi")}}},
			}},
		},
	}
	h := &house{T: t}
	h.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, cluster)...).
		WithStatusSubresource(cluster).Build()
	cached := interceptor.NewClient(h.api, interceptor.Funcs{
		Apply: func(
			ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption,
		) error {
			content := o.(interface{ UnstructuredContent() map[string]any }).UnstructuredContent()
			if h.applying != nil {
				h.applying(content["kind"].(string))
			}
			if content["kind"] == "NetworkPolicy" {
				return applyPolicy(ctx, c, o, content)
			}
			ports, _, _ := unstructured.NestedSlice(content, "spec", "ports")
			isService := h.refusePort && content["kind"] == "Service"
			if isService && ports[0].(map[string]any)["nodePort"] == nil {
				ports[0].(map[string]any)["nodePort"] = int64(30999) // as the API server gives out another one
				_ = unstructured.SetNestedSlice(content, ports, "spec", "ports")
			} else if isService && ports[0].(map[string]any)["nodePort"] == int64(30123) {
				path := field.NewPath("spec", "ports").Index(0).Child("nodePort")
				return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "events-clients", field.ErrorList{
					field.Invalid(path, 30123, "provided port is already allocated")})
			}
			return c.Apply(ctx, o, opts...)
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption,
		) error {
			if err := ctx.Err(); err != nil { // the fake one does not look at it
				return err
			}
			return c.Patch(ctx, o, patch, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return c.List(ctx, list, append(opts, client.MatchingLabels{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "events"})...)
		},
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			err := c.Get(ctx, key, o, opts...)
			if _, cluster := o.(*v1alpha1.KafkaCluster); err == nil && !cluster &&
				o.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
				return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
			}
			return err
		},
	})
	p := pool.New(pool.Config{})
	t.Cleanup(p.Close)
	h.under = &Reconciler{
		Client: cached, APIReader: h.api, Provided: h.api, Recorder: events.NewFakeRecorder(1000),
		Connections: &connect.Connections{
			Client: cached, APIReader: h.api, Pool: p, Now: time.Now, Wake: func(pool.Key) {}, Domain: "cluster.local",
		},
		Settings: Settings{ImageRepository: "apache/kafka", Domain: "cluster.local", Now: time.Now},
		Reach:    &roads{}, Keys: &issuers{},
	}
	h.under.applier.Client = cached
	return h
}

// told is what has been told by events since the last time.
func (h *house) told() string {
	told := ""
	for {
		select {
		case event := <-h.under.Recorder.(*events.FakeRecorder).Events:
			told += event + "\n"
		default:
			return told
		}
	}
}

// reconcile passes over the cluster until it says twice the same, and returns what it says.
func (h *house) reconcile() string {
	h.Helper()
	last := ""
	for range 20 {
		if _, err := h.under.Reconcile(h.Context(), reconcile.Request{
			NamespacedName: client.ObjectKey{Namespace: "shop", Name: "events"}}); err != nil {
			h.Logf("reconcile: %v", err)
		}
		said := h.said()
		if said == last {
			return said
		}
		last = said
	}
	h.Fatalf("it does not come to rest: %s", last)
	return ""
}

func (h *house) said() string {
	h.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	ready := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return ready.Reason + ": " + ready.Message
}

func (h *house) get(name string, o client.Object) {
	h.Helper()
	if err := h.api.Get(h.Context(), client.ObjectKey{Namespace: "shop", Name: name}, o); err != nil {
		h.Fatal(err)
	}
}

func (h *house) exists(name string, o client.Object) bool {
	return h.api.Get(h.Context(), client.ObjectKey{Namespace: "shop", Name: name}, o) == nil
}

func named(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels}
}

var (
	web       = map[string]string{"app": "web"}
	copied    = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "events"}
	neighbour = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "other"}
)

// strangers are objects of somebody else's under every kind of name that the cluster needs.
func strangers() map[string]struct {
	object client.Object
	want   []string
} {
	type c = struct {
		object client.Object
		want   []string
	}
	service := func(name string, labels map[string]string) client.Object {
		return &corev1.Service{ObjectMeta: named(name, labels), Spec: corev1.ServiceSpec{
			Selector: web, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	}
	secret := func(name string) client.Object {
		return &corev1.Secret{ObjectMeta: named(name, web), Data: map[string][]byte{"key": []byte("theirs")}}
	}
	return map[string]c{
		"a listener's Service":             {service("events-clients", web), []string{"Service events-clients exists", "rename the listener, or remove it"}},
		"one that kubectl expose labelled": {service("events-clients", copied), []string{"Service events-clients exists", "rename the listener, or remove it"}},
		"one of another cluster":           {service("events-nodes", neighbour), []string{"Service events-nodes exists", "KafkaCluster other", "another name"}},
		"the nodes' Service":               {service("events-nodes", web), []string{"Service events-nodes exists", "make the KafkaCluster under another name"}},
		"the authority's Secret":           {secret("events-ca"), []string{"Secret events-ca exists", "label it app.kubernetes.io/managed-by=castellan and kafka.castellan.dev/cluster=events"}},
		"a pool's Secret":                  {secret("events-main-internal"), []string{"Secret events-main-internal exists", "rename the pool"}},
		"the listeners' Secret":            {secret("events-main-listeners"), []string{"Secret events-main-listeners exists", "rename the pool"}},
		"the accepted spec": {&corev1.ConfigMap{ObjectMeta: named("events-accepted", web), Data: map[string]string{"a": "b"}},
			[]string{"ConfigMap events-accepted exists", "label it"}},
		"the budget": {&policyv1.PodDisruptionBudget{ObjectMeta: named("events", web), Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: web}}}, []string{"PodDisruptionBudget events exists", "another name"}},
		"a StatefulSet": {&appsv1.StatefulSet{ObjectMeta: named("events-main", web)},
			[]string{"StatefulSet events-main exists", "rename the pool"}},
		"a disk": {&corev1.PersistentVolumeClaim{ObjectMeta: named("data-events-main-0", web)},
			[]string{"PersistentVolumeClaim data-events-main-0 exists", "rename the volume, or remove it"}},
		"a disk with the cluster's label alone": {&corev1.PersistentVolumeClaim{ObjectMeta: named("data-events-main-0", copied)},
			[]string{"PersistentVolumeClaim data-events-main-0 exists", "rename the volume, or remove it"}},
	}
}

func TestWhatSomebodyElseHasIsNamedAndLeftAloneAndItsRemovalHeals(t *testing.T) {
	for name, c := range strangers() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, c.object)
			before := c.object.DeepCopyObject().(client.Object)
			h.get(before.GetName(), before)
			said := h.reconcile()
			for _, want := range append(c.want, "and is not this KafkaCluster's") {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, expected %q", said, want)
				}
			}
			after := before.DeepCopyObject().(client.Object)
			h.get(before.GetName(), after)
			if !equality.Semantic.DeepEqual(before, after) {
				t.Errorf("it was %v and is %v", before, after)
			}
			if _, set := c.object.(*appsv1.StatefulSet); !set && h.exists("events-main", &appsv1.StatefulSet{}) {
				t.Error("nodes are started all the same")
			}
			if err := h.api.Delete(t.Context(), after); err != nil {
				t.Fatal(err)
			}
			if said := h.reconcile(); strings.Contains(said, "exists") || !h.exists("events-main", &appsv1.StatefulSet{}) {
				t.Errorf("when it is gone: %s", said)
			}
		})
	}
}

// A cluster that runs is cared for, whatever stands in the way of a part of it.
func TestARunningClusterIsCaredForBesideWhatSomebodyElseHas(t *testing.T) {
	for name, c := range strangers() {
		if name == "the accepted spec" {
			continue // without it nothing is known that a spec with faults could be cared for by
		}
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.reconcile()
			ours := c.object.DeepCopyObject().(client.Object)
			if err := h.api.Delete(t.Context(), ours); err != nil {
				t.Fatal(err)
			}
			ours = c.object.DeepCopyObject().(client.Object)
			if err := h.api.Create(t.Context(), ours); err != nil {
				t.Fatal(err)
			}
			for _, other := range []client.Object{
				&corev1.Service{ObjectMeta: named("events-controllers", nil)},
				&corev1.Service{ObjectMeta: named("events-clients", nil)},
			} {
				if other.GetName() != ours.GetName() {
					if err := h.api.Delete(t.Context(), other); err != nil {
						t.Fatal(err)
					}
				}
			}
			if said := h.reconcile(); !strings.Contains(said, c.want[0]) {
				t.Errorf("it says %q, expected %q", said, c.want[0])
			}
			after := ours.DeepCopyObject().(client.Object)
			h.get(ours.GetName(), after)
			if !equality.Semantic.DeepEqual(ours, after) {
				t.Errorf("it was %v and is %v", ours, after)
			}
			if !h.exists("events-controllers", &corev1.Service{}) || !h.exists("events-clients", &corev1.Service{}) {
				t.Error("what is ours beside it was not made again")
			}
		})
	}
}

// A backup tool, or a hand, takes the labels off what is ours: by its owner it is known again.
func TestWhatIsOursAndLostItsLabelsGetsThemBack(t *testing.T) {
	for _, object := range []client.Object{
		&corev1.Service{ObjectMeta: named("events-clients", nil)},
		&corev1.Secret{ObjectMeta: named("events-ca", nil)},
		&corev1.Secret{ObjectMeta: named("events-main-internal", nil)},
		&corev1.ConfigMap{ObjectMeta: named("events-accepted", nil)},
		&policyv1.PodDisruptionBudget{ObjectMeta: named("events", nil)},
		&networkingv1.NetworkPolicy{ObjectMeta: named("events", nil)},
		&appsv1.StatefulSet{ObjectMeta: named("events-main", nil)},
	} {
		h := newHouse(t)
		h.walls(ingress)
		h.reconcile()
		h.get(object.GetName(), object)
		labels, uid := object.GetLabels(), object.GetUID()
		object.SetLabels(nil)
		if err := h.api.Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		said := h.reconcile()
		h.get(object.GetName(), object)
		if !equality.Semantic.DeepEqual(object.GetLabels(), labels) || object.GetUID() != uid ||
			strings.Contains(said, "exists") {
			t.Errorf("%T %s has the labels %v, expected %v; it says %q", object, object.GetName(), object.GetLabels(), labels,
				said)
		}
	}
}

// Nobody owns a claim: what tells that it is the cluster's is its labels, or that a node runs on it.
func TestADiskThatLostItsLabelsIsKnownByTheNodeThatRunsOnIt(t *testing.T) {
	for name, c := range map[string]struct {
		ready corev1.ConditionStatus
		known bool
	}{
		"a node runs on it": {corev1.ConditionTrue, true},
		"a node waits":      {corev1.ConditionFalse, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.reconcile()
			claim := &corev1.PersistentVolumeClaim{}
			h.get("data-events-main-0", claim)
			labels := claim.Labels
			claim.Labels = nil
			pod := &corev1.Pod{ObjectMeta: named("events-main-0", copied), Spec: corev1.PodSpec{Volumes: []corev1.Volume{{
				Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
					ClaimName: claim.Name}}}}}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: c.ready}}
			if err := errors.Join(h.api.Update(t.Context(), claim), h.api.Create(t.Context(), pod)); err != nil {
				t.Fatal(err)
			}
			said := h.reconcile()
			h.get(claim.Name, claim)
			if c.known != maps.Equal(claim.Labels, labels) || c.known == strings.Contains(said, "exists and is not") {
				t.Errorf("labels %v, expected %v; it says %q", claim.Labels, labels, said)
			}
		})
	}
}

func TestAnEditedStatefulSetIsPutBack(t *testing.T) {
	for name, edit := range map[string]func(*appsv1.StatefulSetSpec){
		"its image":    func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Containers[0].Image = "evil/kafka:4.3.1" },
		"its strategy": func(s *appsv1.StatefulSetSpec) { s.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType },
		"what becomes of disks": func(s *appsv1.StatefulSetSpec) {
			s.PersistentVolumeClaimRetentionPolicy.WhenScaled = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
		},
		"a mount": func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Containers[0].VolumeMounts = nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.reconcile()
			set := &appsv1.StatefulSet{}
			h.get("events-main", set)
			before := set.Spec.DeepCopy()
			if told := h.told(); strings.Contains(told, "EditUndone") {
				t.Errorf("nobody has edited anything yet, and it is told: %s", told)
			}
			edit(&set.Spec)
			if err := h.api.Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			h.reconcile()
			if told := h.told(); strings.Count(told, "EditUndone") != 1 {
				t.Errorf("told is: %s", told)
			}
			h.get("events-main", set)
			if !equality.Semantic.DeepEqual(&set.Spec, before) {
				t.Errorf("it is %+v, expected %+v", set.Spec, before)
			}
			version := set.ResourceVersion
			h.reconcile()
			if h.get("events-main", set); set.ResourceVersion != version {
				t.Error("it is written again although nothing differs")
			}
		})
	}
}

// The StatefulSet was edited, a pod was made from it, and the StatefulSet was put back.
func TestAPodThatWasMadeFromAnEditedStatefulSetGoes(t *testing.T) {
	for name, c := range map[string]struct {
		image string
		goes  bool
	}{"edited": {"evil/kafka:4.3.1", true}, "sound": {"apache/kafka:4.3.1", false}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.reconcile()
			set := &appsv1.StatefulSet{}
			h.get("events-main", set)
			template := set.Spec.Template.DeepCopy()
			template.Spec.Containers[0].Image = c.image
			raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
			if err != nil {
				t.Fatal(err)
			}
			kept := &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: raw}, ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "events-main-1", Labels: template.Labels,
				OwnerReferences: []metav1.OwnerReference{
					*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))},
			}}
			pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
			pod.Namespace, pod.Name, pod.UID = "shop", "events-main-0", "pod"
			pod.Labels = maps.Clone(template.Labels)
			pod.Labels[appsv1.ControllerRevisionHashLabelKey] = kept.Name
			for _, object := range []client.Object{kept, pod} {
				if err := h.api.Create(t.Context(), object); err != nil {
					t.Fatal(err)
				}
			}
			said := h.reconcile()
			err = h.api.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{})
			if gone := apierrors.IsNotFound(err); gone != c.goes {
				t.Errorf("it goes: %t (%v), expected %t; the status says %s", gone, err, c.goes, said)
			}
		})
	}
}

// Clients outside know a port: a Service that was deleted comes back with it.
func TestAServiceThatIsMadeAgainHasThePortThatClientsKnow(t *testing.T) {
	for name, c := range map[string]struct {
		refused bool
		want    int32
	}{
		"it is free":                       {false, 30123},
		"another Service has it meanwhile": {true, 30999},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			cluster := &v1alpha1.KafkaCluster{}
			h.get("events", cluster)
			cluster.Spec.Listeners[0].Exposure.Type = v1alpha1.ExposureNodePort
			if err := h.api.Update(t.Context(), cluster); err != nil {
				t.Fatal(err)
			}
			h.reconcile()
			for _, name := range []string{"events-clients", "events-main-0-clients"} {
				service := &corev1.Service{}
				h.get(name, service)
				if service.Spec.Ports[0].NodePort != 0 {
					t.Fatalf("%s asks for port %d, which nobody has told", name, service.Spec.Ports[0].NodePort)
				}
				service.Spec.Ports[0].NodePort = 30123
				if err := h.api.Update(t.Context(), service); err != nil {
					t.Fatal(err)
				}
				h.reconcile()
				if err := h.api.Delete(t.Context(), service); err != nil {
					t.Fatal(err)
				}
				h.refusePort = c.refused
				h.reconcile()
				h.get(name, service)
				if got := service.Spec.Ports[0].NodePort; got != c.want {
					t.Errorf("%s is at port %d, expected %d", name, got, c.want)
				}
			}
		})
	}
}
