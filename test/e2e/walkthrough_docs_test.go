package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	fence      = "```"
	testFence  = "```sh test"
	quickstart = "quickstart.md"
)

// testBlocks returns the blocks of a page that are fenced as sh test, in order.
func testBlocks(page string) ([]string, error) { return fencedBlocks(page, testFence) }

// fencedBlocks returns the blocks of a page that begin with a line, in order.
func fencedBlocks(page, begin string) ([]string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	var blocks, block []string
	inside := false
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case !inside && strings.TrimSpace(line) == begin:
			inside, block = true, nil
		case inside && strings.TrimSpace(line) == fence:
			inside, blocks = false, append(blocks, strings.Join(block, "\n"))
		case inside:
			block = append(block, line)
		}
	}
	if inside {
		return nil, fmt.Errorf("%s: the last block is not closed", page)
	}
	return blocks, nil
}

// runBlocks runs blocks one after the other in one shell, as docs/development.md says.
func runBlocks(t *testing.T, page string, blocks []string) {
	t.Helper()
	path, err := kubectlPath()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", patientKubectl(t, path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(10*time.Minute))
	defer cancel()
	out, err := run(ctx, []byte(strings.Join(blocks, "\n")+"\n"), "bash", "-euo", "pipefail", "-x")
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	say(t, "%s: %d blocks, %d bytes of output", page, len(blocks), len(out))
}

// patientKubectl makes a kubectl that waits as much longer as this machine is slower, and returns its folder. The pages
// name time-outs for a quiet one.
func patientKubectl(t *testing.T, path string) string {
	t.Helper()
	const text = `#!/bin/bash
for word in "$@"; do
	[[ $word =~ ^--timeout=([0-9]+)m$ ]] && word=--timeout=$((BASH_REMATCH[1] * %d))s
	words+=("$word")
done
exec %q "${words[@]}"
`
	folder := t.TempDir()
	minute := int(pace.Of(time.Minute).Seconds())
	if err := os.WriteFile(filepath.Join(folder, "kubectl"), fmt.Appendf(nil, text, minute, path), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestWalkthrough runs every command of the documentation that is fenced for it. The quick start brings the operator
// and the samples about and takes the samples away at its end; the other pages are read in between.
func TestWalkthrough_EveryCommandOfTheDocumentationWorks(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("the quick start installs the operator anew, with an image that is loaded into the local cluster")
	}
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, filepath.Join(repository, "README.md"))
	begin, err := testBlocks(filepath.Join(repository, "docs", quickstart))
	if err != nil || len(begin) < 3 {
		t.Fatalf("the quick start has %d blocks to test (error %v)", len(begin), err)
	}
	prepareQuickstart(t)
	last := len(begin) - 1
	runBlocks(t, quickstart, begin[:last])
	for _, page := range pages {
		blocks, err := testBlocks(page)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(page) == quickstart || len(blocks) == 0 {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) { runBlocks(t, filepath.Base(page), blocks) })
	}
	runBlocks(t, quickstart, begin[last:])
	if err := waitGone(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kafka"}}); err != nil {
		t.Error(err)
	}
}

// prepareQuickstart takes the operator away, loads its image under the name that config/default has, and puts the chart
// back at the end.
func prepareQuickstart(t *testing.T) {
	t.Helper()
	image := operator(t).Spec.Template.Spec.Containers[0].Image
	helm, err := script(t.Context(), "hack/tool.sh", "helm")
	if err != nil {
		t.Fatal(err)
	}
	line, err := script(t.Context(), "hack/image.sh", "image")
	if err != nil {
		t.Fatal(err)
	}
	_, folder, _ := strings.Cut(line, " ")
	if _, err := localcluster(t.Context(), "load-image", folder, "--ref", manifestImage(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), nil, helm, "uninstall", release, "--namespace", releaseNamespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(6*time.Minute))
		defer cancel()
		artifacts.collectIfFailed(t, "kafka")
		_, err := kubectl(
			ctx,
			"delete",
			"-k",
			"config/samples",
			"--ignore-not-found",
			"--timeout="+pace.Of(3*time.Minute).String(),
		)
		for _, folder := range []string{"config/manager", "config/rbac"} {
			_, more := kubectl(ctx, "delete", "-k", folder, "--ignore-not-found", "--timeout="+pace.Of(2*time.Minute).String())
			err = errors.Join(err, more)
		}
		if err := errors.Join(err, installOperator(ctx, image)); err != nil {
			t.Errorf("put the operator back: %v", err)
		}
	})
}

// manifestImage is the image that config/manager names.
func manifestImage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "config", "manager", "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "image: "); ok {
			return name
		}
	}
	t.Fatal("config/manager/deployment.yaml names no image")
	return ""
}

// TestWalkthrough_ThePagesAreThere: what issue and README promise to exist.
func TestWalkthrough_ThePagesAreThere(t *testing.T) {
	promise(t)
	for _, page := range []string{"quickstart.md", "concepts.md", "api.md", "listeners.md", "restarts.md", "upgrades.md", "security.md", "troubleshooting.md", "development.md"} {
		text, err := os.ReadFile(filepath.Join(repository, "docs", page))
		if err != nil || len(text) == 0 {
			t.Errorf("docs/%s: %v", page, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(repository, "docs", "predicates.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{"minISR", "quorumMajority", "oneThing"} {
		if !strings.Contains(string(text), rule) {
			t.Errorf("docs/predicates.md does not explain %s", rule)
		}
	}
}
