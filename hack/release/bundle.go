package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"sigs.k8s.io/yaml"
)

// object is any Kubernetes object.
type object = map[string]any

// channel is the one that the operator is offered in until it is 1.0.
const channel = "alpha"

// bundleLabels are those of a bundle's image, and what metadata/annotations.yaml says.
func bundleLabels() map[string]string {
	const prefix = "operators.operatorframework.io.bundle."
	return map[string]string{
		prefix + "mediatype.v1":       "registry+v1",
		prefix + "manifests.v1":       "manifests/",
		prefix + "metadata.v1":        "metadata/",
		prefix + "package.v1":         product,
		prefix + "channels.v1":        channel,
		prefix + "channel.default.v1": channel,
	}
}

// makeBundle makes the bundle for OLM out of what the released chart installs by default, and of the samples; nothing
// in it is kept by hand. It comes as a folder in a tar file and as an image.
func (r *release) makeBundle(ctx context.Context) error {
	folder := filepath.Join(r.work, "bundle")
	if err := r.writeBundle(ctx, folder); err != nil {
		return err
	}
	if _, err := command(ctx, r.work, nil, r.tools.bundleCheck, folder); err != nil {
		return err
	}
	if err := r.writeTree(r.fileName("-olm-bundle.tar.gz"), folder, r.fileName("-olm-bundle")); err != nil {
		return err
	}
	layer, err := layerOf(r.epoch, func(a archive) error { return a.tree(folder, ".") })
	if err != nil {
		return err
	}
	// The labels are what OLM reads. A bundle holds no program, and names the architecture all the same, as OLM's own do.
	r.bundle, err = assemble(&v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Created: v1.Time{Time: r.epoch}, Config: v1.Config{Labels: bundleLabels()},
	}, r.epoch, layer)
	if err != nil {
		return err
	}
	return r.writeLayout("-olm-bundle-image.tar", func(to layout.Path, name layout.Option) error {
		return to.AppendImage(r.bundle, name)
	})
}

func (r *release) writeBundle(ctx context.Context, folder string) error {
	installed, err := r.rendered(ctx)
	if err != nil {
		return err
	}
	chart, err := readChart(r.chartFolder())
	if err != nil {
		return err
	}
	csv, err := r.serviceVersion(chart, installed)
	if err != nil {
		return err
	}
	files := map[string]any{
		"metadata/annotations.yaml":                            object{"annotations": bundleLabels()},
		"manifests/" + product + ".clusterserviceversion.yaml": csv,
	}
	for _, o := range installed {
		switch {
		case o["kind"] == "CustomResourceDefinition":
			delete(metadataOf(o), "labels") // Helm's
			delete(annotationsOf(o), "helm.sh/resource-policy")
		case o["kind"] == "Service" || strings.HasSuffix(nameOf(o), "-metrics-reader"):
			delete(metadataOf(o), "namespace") // OLM's to say
			delete(metadataOf(o), "labels")
		default:
			continue
		}
		files["manifests/"+nameOf(o)+"."+strings.ToLower(fmt.Sprint(o["kind"]))+".yaml"] = o
	}
	for name, content := range files {
		text, err := yaml.Marshal(content)
		if err != nil {
			return err
		}
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
	}
	return nil
}

// rendered are the objects that the released chart installs by default.
func (r *release) rendered(ctx context.Context) ([]object, error) {
	stream, err := command(ctx, r.work, nil, r.tools.helm, "template", product, r.chartFolder(),
		"--namespace", "castellan-system", "--kube-version", "1.36.0")
	if err != nil {
		return nil, err
	}
	return parseObjects(stream)
}

func parseObjects(stream []byte) ([]object, error) {
	var found []object
	for document := range strings.SplitSeq("\n"+string(stream), "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		if len(o) != 0 {
			found = append(found, o)
		}
	}
	return found, nil
}

func metadataOf(o object) object {
	m, _ := o["metadata"].(object)
	return m
}

func annotationsOf(o object) object {
	a, _ := metadataOf(o)["annotations"].(object)
	return a
}

func nameOf(o object) string { return fmt.Sprint(metadataOf(o)["name"]) }

// find returns the one object of a kind whose name ends so.
func find(objects []object, kind, suffix string) (object, error) {
	var found []object
	for _, o := range objects {
		if o["kind"] == kind && strings.HasSuffix(nameOf(o), suffix) {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("the chart installs %d objects %s whose name ends in %q, not 1", len(found), kind, suffix)
	}
	return found[0], nil
}

// serviceVersion makes the ClusterServiceVersion: the Deployment and the permissions of the chart, and what catalogues
// show.
func (r *release) serviceVersion(chart chartFile, installed []object) (object, error) {
	deployment, errDeployment := find(installed, "Deployment", product)
	manager, errManager := find(installed, "ClusterRole", "-manager")
	metrics, errMetrics := find(installed, "ClusterRole", "-metrics-auth")
	election, errElection := find(installed, "Role", "-leader-election")
	if err := errors.Join(errDeployment, errManager, errMetrics, errElection); err != nil {
		return nil, err
	}
	owned, err := ownedBy(chart)
	if err != nil {
		return nil, err
	}
	annotations, err := r.bundleAnnotations(chart)
	if err != nil {
		return nil, err
	}
	clusterRules := slices.Concat(rulesOf(manager), rulesOf(metrics))
	pinned, err := r.pinned()
	if err != nil {
		return nil, err
	}
	labels := object{"operatorframework.io/os.linux": "supported"}
	for _, arch := range architectures {
		labels["operatorframework.io/arch."+arch] = "supported"
	}
	return object{
		"apiVersion": "operators.coreos.com/v1alpha1",
		"kind":       "ClusterServiceVersion",
		"metadata":   object{"name": product + ".v" + r.version, "annotations": annotations, "labels": labels},
		"spec": object{
			"displayName":               "Castellan",
			"description":               description(chart),
			"version":                   r.version,
			"maturity":                  channel,
			"minKubeVersion":            strings.TrimSuffix(strings.TrimPrefix(chart.KubeVersion, ">="), "-0"),
			"keywords":                  chart.Keywords,
			"provider":                  object{"name": "Castellan authors", "url": home},
			"links":                     []object{{"name": "Source and documentation", "url": home}},
			"icon":                      []object{{"mediatype": "image/svg+xml", "base64data": icon()}},
			"relatedImages":             []object{{"name": product, "image": pinned}},
			"customresourcedefinitions": object{"owned": owned},
			"installModes": []object{
				{"type": "OwnNamespace", "supported": false}, {"type": "SingleNamespace", "supported": false},
				{"type": "MultiNamespace", "supported": false}, {"type": "AllNamespaces", "supported": true},
			},
			"install": object{"strategy": "deployment", "spec": object{
				"deployments":        []object{{"name": nameOf(deployment), "spec": deployment["spec"]}},
				"clusterPermissions": []object{{"serviceAccountName": product, "rules": clusterRules}},
				"permissions":        []object{{"serviceAccountName": product, "rules": rulesOf(election)}},
			}},
		},
	}, nil
}

func rulesOf(role object) []any {
	rules, _ := role["rules"].([]any)
	return rules
}

func description(chart chartFile) string {
	return chart.Description + ".\n\nKafkaCluster, KafkaTopic and KafkaUser become brokers, topics, credentials and " +
		"ACLs. The documentation: " + home
}

// ownedBy lists the kinds as the chart does for Artifact Hub.
func ownedBy(chart chartFile) ([]object, error) {
	var crds []object
	if err := yaml.Unmarshal([]byte(chart.Annotations["artifacthub.io/crds"]), &crds); err != nil {
		return nil, fmt.Errorf("annotation artifacthub.io/crds of the chart: %w", err)
	}
	if len(crds) == 0 {
		return nil, errors.New("the chart has no annotation artifacthub.io/crds")
	}
	return crds, nil
}

// bundleAnnotations are what catalogues sort by and show.
func (r *release) bundleAnnotations(chart chartFile) (object, error) {
	var examples []any
	if err := yaml.Unmarshal([]byte(chart.Annotations["artifacthub.io/crdsExamples"]), &examples); err != nil {
		return nil, fmt.Errorf("annotation artifacthub.io/crdsExamples of the chart: %w", err)
	}
	shown, err := json.MarshalIndent(examples, "", "  ")
	if err != nil {
		return nil, err
	}
	pinned, err := r.pinned()
	if err != nil {
		return nil, err
	}
	return object{
		"alm-examples":   string(shown),
		"capabilities":   chart.Annotations["artifacthub.io/operatorCapabilities"],
		"categories":     "Streaming & Messaging",
		"containerImage": pinned,
		"createdAt":      r.epoch.Format(time.RFC3339),
		"description":    chart.Description,
		"repository":     home,
		"support":        "Castellan authors",
		"olm.skipRange":  "<" + r.version,
		"operatorframework.io/suggested-namespace": "castellan-system",
	}, nil
}
