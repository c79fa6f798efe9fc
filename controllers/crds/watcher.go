package crds

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Every is how often the CRDs are looked at: they may be upgraded while the operator runs. The schema itself is fetched
// only when it has changed.
const Every = time.Hour

// Watcher says in the log where the CRDs and this operator are of different versions.
type Watcher struct {
	Discovery discovery.DiscoveryInterface
	Every     time.Duration

	seen string // the address of the schema, which has a hash of it
}

// Start looks at the CRDs until ctx is over. That they cannot be looked at is no fault: somebody may have closed
// /openapi to the operator.
func (w *Watcher) Start(ctx context.Context) error {
	log := ctrl.Log.WithName("crds")
	again := time.NewTicker(w.Every)
	defer again.Stop()
	for {
		if err := w.look(log); err != nil {
			log.V(1).Info("the CRDs cannot be compared with this operator", "cause", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// look compares the CRDs as they are now, unless they are as they were.
func (w *Watcher) look(log logr.Logger) error {
	paths, err := w.Discovery.OpenAPIV3().Paths()
	if err != nil {
		return fmt.Errorf("list the schemas of the API: %w", err)
	}
	of, found := paths["apis/"+v1alpha1.GroupVersion.String()]
	if !found || of.ServerRelativeURL() == w.seen {
		return nil
	}
	text, err := of.Schema("application/json")
	if err != nil {
		return fmt.Errorf("read the schema of %s: %w", v1alpha1.GroupVersion, err)
	}
	served, err := read(text)
	if err != nil {
		return err
	}
	w.seen = of.ServerRelativeURL()
	d := compare(served)
	if len(d.foreign) > 0 {
		log.Info("the CRDs have fields that this operator does not know, and that have no effect: it is older than they "+
			"are; upgrade it", "fields", some(d.foreign))
	}
	if len(d.missing) > 0 {
		log.Info("the CRDs lack fields of this operator, which the API server refuses or drops: they are older than it is; "+
			"apply those of its version (docs/operators.md)", "fields", some(d.missing))
	}
	return nil
}

// read takes the schemas of our kinds out of an OpenAPI document.
func read(text []byte) (map[string]schema, error) {
	var document struct {
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", v1alpha1.GroupVersion, err)
	}
	served := map[string]schema{}
	for name, s := range document.Components.Schemas {
		if kind := name[strings.LastIndex(name, ".")+1:]; kinds[kind] != nil {
			served[kind] = s
		}
	}
	return served, nil
}

// some are as many names as a line of a log takes.
func some(names []string) []string {
	const atMost = 20
	if len(names) > atMost {
		return append(names[:atMost:atMost], fmt.Sprintf("and %d more", len(names)-atMost))
	}
	return names
}
