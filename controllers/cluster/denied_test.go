package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// permissions is an API server that says who may list what.
type permissions struct {
	client.Reader
	slices, nodes func(namespace string) error
	asked         atomic.Int32
}

func (p *permissions) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	p.asked.Add(1)
	var options client.ListOptions
	options.ApplyOptions(opts)
	switch list.(type) {
	case *discoveryv1.EndpointSliceList:
		return p.slices(options.Namespace)
	case *corev1.NodeList:
		return p.nodes(options.Namespace)
	}
	return errors.New("nobody has asked for that")
}

func always(err error) func(string) error { return func(string) error { return err } }

func forbidden(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("its role lacks the rule"))
}

func TestTheOperatorDoesWithoutWhatKubernetesDeniesIt(t *testing.T) {
	for name, test := range map[string]struct {
		told          Settings
		slices, nodes func(namespace string) error
		want          [2]bool // slices, nodes
		asked         int32
	}{
		"it may":           {Settings{EndpointSlices: true, ReadNodes: true}, always(nil), always(nil), [2]bool{true, true}, 2},
		"it is not told":   {Settings{}, always(forbidden("x")), always(forbidden("x")), [2]bool{false, false}, 0},
		"it may no slices": {Settings{EndpointSlices: true, ReadNodes: true}, always(forbidden("x")), always(nil), [2]bool{false, true}, 2},
		"it may no nodes":  {Settings{EndpointSlices: true, ReadNodes: true}, always(nil), always(forbidden("x")), [2]bool{true, false}, 2},
		"it may in one of its namespaces": {Settings{EndpointSlices: true, Namespaces: []string{"a", "b"}}, func(namespace string) error {
			if namespace == "b" {
				return forbidden("x")
			}
			return nil
		}, always(nil), [2]bool{false, false}, 2},
		"nobody answers": {Settings{EndpointSlices: true, ReadNodes: true}, always(errors.New("connection refused")),
			always(errors.New("connection refused")), [2]bool{true, true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			api := &permissions{slices: test.slices, nodes: test.nodes}
			s := test.told
			s.Grant(t.Context(), api)
			if got := [2]bool{s.EndpointSlices, s.ReadNodes}; got != test.want || api.asked.Load() != test.asked {
				t.Errorf("slices and nodes: %v, expected %v; %d questions", got, test.want, api.asked.Load())
			}
			if (s.Denied.Slices != "") != (test.told.EndpointSlices && !test.want[0]) ||
				(s.Denied.Nodes != "") != (test.told.ReadNodes && !test.want[1]) {
				t.Errorf("denied: %+v", s.Denied)
			}
		})
	}
}

func TestAnOperatorThatIsGrantedWhatItWasDeniedBeginsAnew(t *testing.T) {
	var granted atomic.Bool
	api := &permissions{nodes: always(forbidden("nodes")), slices: func(string) error {
		if granted.Load() {
			return nil
		}
		return forbidden("endpointslices")
	}}
	told := Settings{EndpointSlices: true, ReadNodes: true}
	s := told
	s.Grant(t.Context(), api)
	a := &Awaiting{Told: told, Denied: s.Denied, APIReader: api, Every: time.Millisecond}
	ended := make(chan error, 1)
	go func() { ended <- a.Start(t.Context()) }()
	for asked := api.asked.Load(); api.asked.Load() < asked+6; {
		select {
		case err := <-ended:
			t.Fatalf("nothing was granted, and it ends: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	granted.Store(true)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrGranted) {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on without what it was granted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Start(ctx); err != nil && !errors.Is(err, ErrGranted) {
		t.Errorf("the operator ends, and it says %v", err)
	}
}

// An API server that is away, or slow, grants nothing: an operator that took it for a yes would end at each hiccup.
func TestAnAnswerThatIsNoListGrantsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		slices, nodes error
		want          Granted
	}{
		"no answer":       {errors.New("connection refused"), errors.New("timeout"), Granted{}},
		"denied":          {forbidden("x"), forbidden("x"), Granted{}},
		"slices granted":  {nil, errors.New("timeout"), Granted{Slices: true}},
		"nodes granted":   {forbidden("x"), nil, Granted{Nodes: true}},
		"too many of it":  {apierrors.NewTooManyRequests("x", 1), apierrors.NewInternalError(errors.New("x")), Granted{}},
		"nobody is known": {apierrors.NewUnauthorized("x"), apierrors.NewUnauthorized("x"), Granted{}},
	} {
		s := Settings{EndpointSlices: true, ReadNodes: true, Namespaces: []string{"a", "b"}}
		got := s.granted(t.Context(), &permissions{slices: always(c.slices), nodes: always(c.nodes)})
		if got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	s := Settings{EndpointSlices: true, Namespaces: []string{"a", "b"}}
	if got := s.granted(t.Context(), &permissions{slices: func(namespace string) error {
		if namespace == "b" {
			return errors.New("timeout")
		}
		return nil
	}}); got.Slices {
		t.Error("of one namespace nothing is known")
	}
}

// An operator that waits for what it was denied goes on while nobody answers it.
func TestAnOperatorGoesOnWhileTheAPIServerIsAway(t *testing.T) {
	api := &permissions{slices: always(errors.New("connection refused")), nodes: always(errors.New("connection refused"))}
	a := &Awaiting{Told: Settings{EndpointSlices: true, ReadNodes: true}, Denied: Denied{Slices: "no", Nodes: "no"},
		APIReader: api, Every: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Start(ctx) }()
	for api.asked.Load() < 6 {
		select {
		case err := <-ended:
			t.Fatalf("it ends: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The clusters that need it say so, in Kubernetes' words.
func TestWhatKubernetesDeniesIsToldByTheClustersThatNeedIt(t *testing.T) {
	for name, test := range map[string]struct {
		exposure     v1alpha1.Exposure
		slices, host bool // told
	}{
		"brokers behind one Service":    {behindOne(), true, false},
		"brokers at Kubernetes' nodes":  {v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort}, false, true},
		"brokers inside":                {v1alpha1.Exposure{Type: v1alpha1.ExposureInternal}, false, false},
		"a Service for each of brokers": {v1alpha1.Exposure{Type: v1alpha1.ExposureClusterIP}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.under.Settings.EndpointSlices, h.under.Settings.ReadNodes = true, true
			h.under.Settings.Grant(t.Context(), &permissions{
				slices: always(forbidden("endpointslices")), nodes: always(forbidden("nodes"))})
			h.expose(test.exposure)
			h.reconcile()
			cluster := &v1alpha1.KafkaCluster{}
			h.get("events", cluster)
			message := h.listener().Message
			if told := strings.Contains(message, "endpointslices is forbidden: its role lacks the rule"); told != test.slices {
				t.Errorf("that slices are denied is told: %t: %q", told, message)
			}
			warning := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionWarning)
			told := warning != nil && strings.Contains(warning.Message, "nodes is forbidden: its role lacks the rule")
			if told != test.host {
				t.Errorf("that nodes are denied is told: %t: %+v", told, warning)
			}
			kinds := h.under.Settings.kinds()
			if slices.ContainsFunc(labelled(kinds), func(o client.Object) bool { _, is := o.(*discoveryv1.EndpointSlice); return is }) {
				t.Error("EndpointSlices are watched")
			}
		})
	}
}
