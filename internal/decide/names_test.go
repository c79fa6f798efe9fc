package decide

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

// Any names that the API takes and the rules do not refuse give names that Kubernetes and certificates take.
func TestEveryNameThatIsMadeOfLegalNamesIsLegal(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 24))
	word := func(most int) string { // short ones, long ones, and the longest
		length := []int{1, 1 + rng.IntN(most), most}[rng.IntN(3)]
		return strings.Repeat("x", length)
	}
	refused := 0
	for range 300 {
		in := asked(t)
		in.Cluster.Namespace, in.Cluster.Name = word(63), word(32)
		pool := &in.Cluster.Spec.Pools[0]
		pool.Name, pool.Storage.Volumes[0].Name = word(16), word(16)
		pool.FirstNodeID = new([]int32{0, 999, 2_000_000_000}[rng.IntN(3)])
		in.Cluster.Spec.Listeners = []v1alpha1.Listener{
			{Name: word(11), Port: 9094, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort}},
		}
		d := Decide(in)
		longest := fmt.Sprintf("%s-%s-%d-%s", in.Cluster.Name, pool.Name, *pool.FirstNodeID+2, in.Cluster.Spec.Listeners[0].Name)
		if over := len(longest) > 63; over != (len(d.Verdicts) > 0) {
			t.Fatalf("%s: %v", longest, d.Verdicts)
		} else if over {
			refused++
			if field := d.Verdicts[0].Field; field != "spec.listeners["+in.Cluster.Spec.Listeners[0].Name+"].name" {
				t.Errorf("%s is told of the field %s", longest, field)
			}
			continue
		}
		if problems := problemsOfNames(t, in, d); len(problems) > 0 {
			t.Fatalf("%s/%s, pool %s: %s", in.Cluster.Namespace, in.Cluster.Name, pool.Name, strings.Join(problems, "\n"))
		}
	}
	if refused == 0 {
		t.Error("no name was too long")
	}
}

func problemsOfNames(t *testing.T, in Inputs, d Decision) []string {
	t.Helper()
	var problems []string
	add := func(what string, complaints []string) {
		for _, complaint := range complaints {
			problems = append(problems, what+": "+complaint)
		}
	}
	check := func(o metav1.Object, valid func(string) []string) {
		add(o.GetName(), valid(o.GetName()))
		for key, value := range o.GetLabels() {
			add(o.GetName()+": label "+key, slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)))
		}
	}
	authority, err := pki.NewAuthority(pki.AuthorityName(in.Cluster.Namespace, in.Cluster.Name), start)
	if err != nil {
		return []string{err.Error()}
	}
	for _, object := range render.Quiet(d.Model) {
		check(object, validation.IsDNS1035Label)
	}
	check(render.Handover(d.Model, "pod"), validation.IsDNS1035Label)
	check(render.Budget(d.Model, 0, nil, false), validation.IsDNS1123Subdomain)
	pool := &d.Model.Pools[0]
	revision := render.Revision(d.Model, pool, d.Files)
	check(revision, validation.IsDNS1123Subdomain)
	set := render.StatefulSet(d.Model, pool, revision.Name, 3, nil)
	check(set, validation.IsDNS1123Subdomain)
	check(&set.Spec.Template.ObjectMeta, func(string) []string { return nil })
	add("controller-revision-hash", validation.IsValidLabelValue(set.Name+"-"+strings.Repeat("x", 10)))
	problems = append(problems, problemsOfPods(set)...)
	for i := range d.Model.Nodes {
		node := &d.Model.Nodes[i]
		add(node.PodName, validation.IsDNS1123Label(node.PodName)) // it is the host's name, and a label's value
		add(node.Host, validation.IsDNS1123Subdomain(node.Host))
		for _, claim := range render.Claims(d.Model, node) {
			check(claim, validation.IsDNS1123Subdomain)
		}
	}
	for i := range d.Observation.Nodes {
		t.Errorf("node %d is there already", i)
	}
	for _, secret := range KeySecrets(d.Model, d.Observation, &observe.Live{}, AuthorityState{Authority: authority}, start) {
		add(secret.Name, validation.IsDNS1123Subdomain(secret.Name))
		for _, leaf := range secret.Issue {
			add("entry "+leaf.Entry, validation.IsConfigMapKey(leaf.Entry+".names"))
			if err := leaf.Request.Validate(); err != nil {
				problems = append(problems, err.Error())
			}
			for _, name := range leaf.Request.DNSNames {
				if net.ParseIP(name) == nil {
					add("certificate "+name, validation.IsDNS1123Subdomain(name))
				}
			}
		}
	}
	return problems
}

func problemsOfPods(set *appsv1.StatefulSet) []string {
	var problems []string
	names := []string{}
	for _, volume := range set.Spec.Template.Spec.Volumes {
		names = append(names, volume.Name)
	}
	for _, claim := range set.Spec.VolumeClaimTemplates {
		names = append(names, claim.Name)
	}
	for _, name := range names {
		problems = append(problems, validation.IsDNS1123Label(name)...)
	}
	ports := []corev1.ContainerPort{}
	for _, container := range set.Spec.Template.Spec.Containers {
		ports = append(ports, container.Ports...)
	}
	for _, port := range ports {
		problems = append(problems, validation.IsValidPortName(port.Name)...)
	}
	return problems
}
