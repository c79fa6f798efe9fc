package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"sigs.k8s.io/yaml"
)

// Media types of charts in registries, as Helm has them.
const (
	chartConfigType = "application/vnd.cncf.helm.config.v1+json"
	chartLayerType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// chartFile is what is read of Chart.yaml.
type chartFile struct {
	Description string            `json:"description"`
	KubeVersion string            `json:"kubeVersion"`
	Keywords    []string          `json:"keywords"`
	Annotations map[string]string `json:"annotations"`
}

// readChart reads the Chart.yaml of a folder.
func readChart(folder string) (chartFile, error) {
	var c chartFile
	content, err := os.ReadFile(filepath.Join(folder, "Chart.yaml"))
	if err == nil {
		err = yaml.Unmarshal(content, &c)
	}
	return c, err
}

// chartFolder is where the chart of the release is prepared.
func (r *release) chartFolder() string { return filepath.Join(r.work, "chart", product) }

// makeChart packs the chart, with the image that was built, and makes of it what a registry holds.
func (r *release) makeChart(ctx context.Context) error {
	if err := r.prepareChart(); err != nil {
		return fmt.Errorf("prepare the chart: %w", err)
	}
	env := []string{
		"HELM_CACHE_HOME=" + filepath.Join(r.work, "helm"), "HELM_CONFIG_HOME=" + filepath.Join(r.work, "helm"),
		"HELM_DATA_HOME=" + filepath.Join(r.work, "helm"), "TZ=UTC",
		// Helm packs this time, where the user's environment has one, in place of that of the files.
		"SOURCE_DATE_EPOCH=" + fmt.Sprint(r.epoch.Unix()),
	}
	if _, err := command(ctx, r.work, env, r.tools.helm, "lint", "--strict", "--quiet", r.chartFolder()); err != nil {
		return err
	}
	_, err := command(ctx, r.work, env, r.tools.helm, "package", r.chartFolder(), "--destination", r.out,
		"--version", r.version, "--app-version", r.version)
	if err != nil {
		return err
	}
	packed, err := os.ReadFile(filepath.Join(r.out, r.fileName(".tgz")))
	if err != nil {
		return err
	}
	metadata, err := command(ctx, r.work, env, r.tools.helm, "show", "chart", filepath.Join(r.out, r.fileName(".tgz")))
	if err != nil {
		return err
	}
	config, err := yaml.YAMLToJSON(metadata)
	if err != nil {
		return fmt.Errorf("read the metadata of the chart: %w", err)
	}
	r.chart, err = newArtifact(config, chartConfigType, packed, chartLayerType, r.labels(product))
	if err != nil {
		return err
	}
	return r.writeLayout("-chart.tar", func(to layout.Path, name layout.Option) error {
		return to.AppendImage(r.chart, name)
	})
}

// prepareChart copies the chart of the commit and names the image in it, for Helm and for Artifact Hub.
func (r *release) prepareChart() error {
	folder := r.chartFolder()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(r.source, "charts", product))); err != nil {
		return err
	}
	digest, err := r.image.Digest()
	if err != nil {
		return err
	}
	values := filepath.Join(folder, "values.yaml")
	err = errors.Join(
		replaceOnce(values, "\nimage:\n  repository: "+product+"\n", "\nimage:\n  repository: "+r.repository()+"\n"),
		replaceOnce(values, "\n  digest: \"\"\n", "\n  digest: "+digest.String()+"\n"),
		r.annotateChart(filepath.Join(folder, "Chart.yaml")),
	)
	if err != nil {
		return err
	}
	// Helm packs the times that files have.
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, r.epoch, r.epoch))
	})
}

// annotateChart adds what Artifact Hub shows and only a release knows.
func (r *release) annotateChart(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var chart map[string]any
	if err := yaml.UnmarshalStrict(content, &chart); err != nil {
		return err
	}
	own, ok := chart["annotations"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no annotations", path)
	}
	pinned, err := r.pinned()
	if err != nil {
		return err
	}
	var platforms []string
	for _, arch := range architectures {
		platforms = append(platforms, "linux/"+arch)
	}
	images, err := yaml.Marshal([]map[string]any{{"name": product, "image": pinned, "platforms": platforms}})
	if err != nil {
		return err
	}
	all := changes(r.section)
	changed, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	maps.Copy(own, map[string]any{
		"artifacthub.io/images":     string(images),
		"artifacthub.io/changes":    string(changed),
		"artifacthub.io/prerelease": fmt.Sprint(strings.Contains(r.version, "-")),
		"artifacthub.io/containsSecurityUpdates": fmt.Sprint(
			slices.ContainsFunc(all, func(c change) bool { return c.Kind == kinds["Security"] })),
	})
	if content, err = yaml.Marshal(chart); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
