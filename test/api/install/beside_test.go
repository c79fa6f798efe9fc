package install

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// strimzi are the names that the CRDs of Strimzi give to their kinds. The CRDs here have these names and no more.
var strimzi = []apiextensionsv1.CustomResourceDefinitionNames{
	{Kind: "Kafka", Plural: "kafkas", Singular: "kafka", ShortNames: []string{"k"}},
	{Kind: "KafkaTopic", Plural: "kafkatopics", Singular: "kafkatopic", ShortNames: []string{"kt"}},
	{Kind: "KafkaUser", Plural: "kafkausers", Singular: "kafkauser", ShortNames: []string{"ku"}},
	{Kind: "KafkaConnect", Plural: "kafkaconnects", Singular: "kafkaconnect", ShortNames: []string{"kc"}},
}

const strimziGroup = "kafka.strimzi.io"

// installStrimzi makes the CRDs, and one object of each kind, called strimzi.
func installStrimzi(t *testing.T) {
	t.Helper()
	yes := true
	for _, names := range strimzi {
		names.ListKind, names.Categories = names.Kind+"List", []string{"strimzi"}
		crd := &apiextensionsv1.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: names.Plural + "." + strimziGroup},
			Spec: apiextensionsv1.CustomResourceDefinitionSpec{
				Group: strimziGroup, Scope: apiextensionsv1.NamespaceScoped, Names: names,
				Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
					Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{
						OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &yes}},
				}},
			},
		}
		if err := kube.Create(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dropCRDs(t, crd.Name) })
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(strimziGroup + "/v1")
		o.SetKind(names.Kind)
		o.SetNamespace("both")
		o.SetName("strimzi")
		eventually(t, "the kind "+names.Kind+" is served", func() error {
			return client.IgnoreAlreadyExists(kube.Create(t.Context(), o.DeepCopy()))
		})
	}
}

// What kubectl takes the words for that both have: the table of docs/beside-strimzi.md. It is the same whoever was
// installed first.
func TestWhatKubectlMeansBesideStrimzi(t *testing.T) {
	meanings := map[string]string{ // the objects that kubectl lists, in any order
		"kafkatopic": "kafkatopic.kafka.castellan.dev/ours", "kafkatopics": "kafkatopic.kafka.castellan.dev/ours",
		"kt": "kafkatopic.kafka.castellan.dev/ours", "kafkauser": "kafkauser.kafka.castellan.dev/ours",
		"ku": "kafkauser.kafka.castellan.dev/ours", "kc": "kafkacluster.kafka.castellan.dev/events",
		"kafkatopics.kafka.strimzi.io": "kafkatopic.kafka.strimzi.io/strimzi",
		"kafkas":                       "kafka.kafka.strimzi.io/strimzi", "k": "kafka.kafka.strimzi.io/strimzi",
		"kafkaconnects": "kafkaconnect.kafka.strimzi.io/strimzi", "kafkacluster": "kafkacluster.kafka.castellan.dev/events",
		"kafka": "kafkacluster.kafka.castellan.dev/events kafkatopic.kafka.castellan.dev/ours " +
			"kafkauser.kafka.castellan.dev/ours",
	}
	for order, install := range map[string][]func(*testing.T){
		"Strimzi first": {installStrimzi, withCRDs}, "Strimzi second": {withCRDs, installStrimzi},
	} {
		t.Run(order, func(t *testing.T) {
			makeNamespace(t, "both")
			for _, one := range install {
				one(t)
			}
			manifest(t, "both", oneNode)
			manifest(t, "both", strings.Replace(oneTopic, "orders", "ours", 1))
			manifest(t, "both", strings.Replace(oneUser, "billing", "ours", 1))
			for word, want := range meanings {
				out, err := kubectl(t, "-n", "both", "get", word, "-o", "name")
				if err != nil {
					t.Errorf("kubectl get %s: %v", word, err)
					continue
				}
				if got := sortedWords(out); got != sortedWords(want) {
					t.Errorf("kubectl get %s: %s, expected %s", word, got, want)
				}
			}
		})
	}
}

// Our operator has eyes for its own group alone, and what is of the other one stays as it is.
func TestTheOperatorWorksBesideStrimzi(t *testing.T) {
	makeNamespace(t, "both")
	installStrimzi(t)
	withCRDs(t)
	theirs := func() string {
		found := ""
		for _, names := range strimzi {
			list := &unstructured.UnstructuredList{}
			list.SetAPIVersion(strimziGroup + "/v1")
			list.SetKind(names.Kind + "List")
			if err := kube.List(t.Context(), list, client.InNamespace("both")); err != nil {
				t.Fatal(err)
			}
			for _, o := range list.Items {
				found += fmt.Sprintln(o.GetKind(), o.GetName(), o.GetResourceVersion())
			}
		}
		return found
	}
	before := theirs()
	start(t, "kafka", "castellan")
	manifest(t, "both", oneNode)
	manifest(t, "both", oneTopic)
	looksAfter(t, "both", "kafka/castellan")
	if after := theirs(); after != before {
		t.Errorf("theirs were\n%s and are\n%s", before, after)
	}
}

func sortedWords(text string) string {
	words := strings.Fields(text)
	slices.Sort(words)
	return strings.Join(words, " ")
}
