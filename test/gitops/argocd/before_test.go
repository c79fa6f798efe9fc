package argocd

import (
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
)

// An Application that is synced before the CRDs are there fails, changes nothing and succeeds when it tries again. It
// is the first of this package's tests, before any of them has installed the CRDs.
func TestASyncBeforeTheCRDsSucceedsAfterThem(t *testing.T) {
	all := fleet(t, "early")
	early := startApplication(t, "early", without{})
	p := early.sync(t, all, never)
	named := false
	for _, r := range p.results {
		named = named || r.Status == common.ResultCodeSyncFailed && strings.Contains(r.Message, group)
	}
	if p.phase == common.OperationSucceeded || !named {
		t.Errorf("before the CRDs are there the sync ends as %s: %s %v", p.phase, p.message, p.results)
	}
	mustMiss(t, "before the CRDs are there", find(t, all, "Namespace"), find(t, all, "Deployment"))
	installCRDs(t)
	early.mustSucceed(t, all, func() bool { return there(t, find(t, all, "Deployment")) })
}
