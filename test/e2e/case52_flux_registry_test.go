package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// pushArtifact pushes all that was edited as `flux push artifact` does, and returns the artifact's digest.
func (f *fleetRepository) pushArtifact(t *testing.T, name, tag string) string {
	t.Helper()
	f.git(t, f.work, "add", "--all")
	tree := f.git(t, f.work, "write-tree")
	files, err := run(t.Context(), nil, "git", "-C", f.work, "archive", "--format=tar.gz", tree)
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + clusterRegistry(t) + "/v2/" + name
	blob := func(mediaType, content string) map[string]any {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
		send(t, http.MethodPost, at+"/blobs/uploads/?digest="+digest, "application/octet-stream", []byte(content))
		return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(content)}
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind,
		"config": blob("application/vnd.cncf.flux.config.v1+json", "{}"),
		"layers": []any{blob("application/vnd.cncf.flux.content.v1.tar+gzip", files)},
	})
	if err != nil {
		t.Fatal(err)
	}
	send(t, http.MethodPut, at+"/manifests/"+tag, kind, manifest)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(manifest))
	say(t, "%s:%s is %.14s, of %d bytes", name, tag, digest, len(files))
	return digest
}

func send(t *testing.T, method, to, mediaType string, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, to, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, to, answer.Status)
	}
}

// moveToRegistry has Flux take the fleet's files from a registry, with a change, in place of git.
func moveToRegistry(t *testing.T, f *fleetRepository) {
	t.Helper()
	const key, value = "retention.ms", "86400000"
	f.edit(t, "kafka/topic.yaml", func(text string) string {
		return text + fmt.Sprintf("  config:\n    %s: %q\n", key, value)
	})
	digest := f.pushArtifact(t, "fleet", "main")
	applySample(t, "flux/fleet-oci.yaml", strings.NewReplacer(
		"  url: oci://"+sampleRegistry, "  insecure: true\n  url: oci://"+clusterRegistry(t)+"/"))
	waitFlux(t, time.Minute, fluxOCI, "fleet")
	applySample(t, "flux/fleet.yaml", strings.NewReplacer(sampleGit+"fleet.git", f.url,
		"sourceRef:\n    kind: GitRepository", "sourceRef:\n    kind: OCIRepository"))
	for _, name := range []string{"castellan", "kafka", "app"} {
		applied(t, 3*time.Minute, name, digest)
	}
	topic := topicNamed(sampleNamespace, "orders")
	waitReady(t, time.Minute, topic)
	if topic.Spec.Config[key] != value {
		t.Errorf("the topic's config is %v, expected %s=%s", topic.Spec.Config, key, value)
	}
}
