package cluster

import (
	"cmp"
	"context"
	"errors"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Denied is what the operator is told to use and Kubernetes does not let it. An informer of a kind that may not be read
// never has its first list, and no controller begins without that: one missing permission, of which few clusters know,
// would end the care of all. So the operator does without, and the clusters that need it say so.
type Denied struct {
	// Slices and Nodes are why it may not read EndpointSlices, and Kubernetes nodes, in Kubernetes' words; empty = it may,
	// or is not told to.
	Slices, Nodes string
}

// Grant takes out of settings what Kubernetes does not let the operator do.
func (s *Settings) Grant(ctx context.Context, apiReader client.Reader) {
	s.Denied = s.denied(ctx, apiReader)
	s.EndpointSlices = s.EndpointSlices && s.Denied.Slices == ""
	s.ReadNodes = s.ReadNodes && s.Denied.Nodes == ""
}

// denied is what Kubernetes says no to. Only a clear no counts: an API server that is away says nothing of permissions.
func (s *Settings) denied(ctx context.Context, apiReader client.Reader) Denied {
	var d Denied
	if err := s.listSlices(ctx, apiReader); apierrors.IsForbidden(err) {
		d.Slices = err.Error()
	}
	if s.ReadNodes {
		d.Nodes = hostsDenied(ctx, apiReader)
	}
	return d
}

// listSlices asks for one EndpointSlice in each namespace, and tells of a clear no before any other error.
func (s *Settings) listSlices(ctx context.Context, apiReader client.Reader) (first error) {
	namespaces := s.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		if !s.EndpointSlices {
			break
		}
		err := apiReader.List(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace(namespace), client.Limit(1),
			client.MatchingLabels{discoveryv1.LabelManagedBy: v1alpha1.EndpointSliceManager})
		if apierrors.IsForbidden(err) {
			return err
		}
		first = cmp.Or(first, err)
	}
	return first
}

// Granted is what the operator is told to use and is seen to be allowed.
type Granted struct{ Slices, Nodes bool }

// granted is what Kubernetes says yes to. Only a list counts: whoever is away, or refuses for another reason, says
// nothing of permissions.
func (s *Settings) granted(ctx context.Context, apiReader client.Reader) Granted {
	return Granted{
		Slices: s.EndpointSlices && s.listSlices(ctx, apiReader) == nil,
		Nodes:  s.ReadNodes && listHost(ctx, apiReader) == nil,
	}
}

// ErrGranted ends an operator that has begun without something that it may use by now: what it watches is settled when
// it begins, and Kubernetes starts it anew.
var ErrGranted = errors.New("the operator begins anew, as Kubernetes lets it do by now what it denied when it began")

// Awaiting has a manager end the operator once it may do what it was denied.
type Awaiting struct {
	// Told are the settings as the operator was told them.
	Told      Settings
	Denied    Denied
	APIReader client.Reader
	// Every is the time between two looks.
	Every time.Duration
}

// Start looks again and again, until something that was denied is not any more.
func (a *Awaiting) Start(ctx context.Context) error {
	for _, why := range []string{a.Denied.Slices, a.Denied.Nodes} {
		if why != "" {
			ctrl.LoggerFrom(ctx).Info("the operator is told to use what Kubernetes denies it, and does without", "answer", why)
		}
	}
	again := time.NewTicker(a.Every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		now := a.Told.granted(ctx, a.APIReader)
		if ctx.Err() == nil && (a.Denied.Slices != "" && now.Slices || a.Denied.Nodes != "" && now.Nodes) {
			return ErrGranted
		}
	}
}

// NeedLeaderElection lets an operator that waits for its turn begin anew as well.
func (a *Awaiting) NeedLeaderElection() bool { return false }
