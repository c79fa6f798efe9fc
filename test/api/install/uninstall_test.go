package install

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// blocks are those of docs/uninstall.md that are fenced as sh api.
func blocks(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", "uninstall.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, part := range strings.Split(string(text), "```sh api\n")[1:] {
		block, _, closed := strings.Cut(part, "```")
		if !closed {
			t.Fatal("a block of docs/uninstall.md is not closed")
		}
		found = append(found, block)
	}
	if len(found) != 3 {
		t.Fatalf("docs/uninstall.md has %d blocks: finalizers, backup and restore are expected", len(found))
	}
	return found
}

// shell runs a block as a reader would, in a folder of its own.
func shell(t *testing.T, folder, block string) {
	t.Helper()
	path, err := kubectlPath()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block)
	command.Dir = folder
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir(),
		"PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", block, err, out)
	}
}

// The operator is gone, and what it stood for is being deleted: the one command lets go of that, and of nothing else.
func TestTheOneCommandWhenTheOperatorWentFirst(t *testing.T) {
	withCRDs(t)
	makeNamespace(t, "left")
	for _, name := range []string{"going", "staying"} {
		for _, text := range []string{
			strings.Replace(oneTopic, "orders", name, 1), strings.Replace(oneUser, "billing", name, 1),
		} {
			o := manifest(t, "left", text)
			o.SetFinalizers([]string{v1alpha1.Finalizer}) // as the operator has set it
			if err := kube.Update(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if name == "staying" {
				continue
			}
			if err := kube.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				t.Fatalf("the finalizer does not hold it: %v", err)
			}
		}
	}
	shell(t, t.TempDir(), blocks(t)[0])
	for _, kind := range []string{"KafkaTopic", "KafkaUser"} {
		o := objectOf(kind)
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "left", Name: "going"}, o); !apierrors.IsNotFound(err) {
			t.Errorf("%s going: %v", kind, err)
		}
		err := kube.Get(t.Context(), client.ObjectKey{Namespace: "left", Name: "staying"}, o)
		if err != nil || !slices.Equal(o.GetFinalizers(), []string{v1alpha1.Finalizer}) {
			t.Errorf("%s staying: finalizers %v, %v", kind, o.GetFinalizers(), err)
		}
		o.SetFinalizers(nil)
		if err := kube.Update(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
	shell(t, t.TempDir(), blocks(t)[0]) // and with nothing to do it does nothing
}

func objectOf(kind string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{
		Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Kind: kind})
	return o
}

func secretIn(t *testing.T, name string) (*corev1.Secret, error) {
	t.Helper()
	s := &corev1.Secret{}
	return s, kube.Get(t.Context(), client.ObjectKey{Namespace: "kafka", Name: name}, s)
}

// withCertificates is a cluster that has both authorities.
const withCertificates = oneNode + `
  listeners:
  - {name: clients, port: 9092, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - {name: mutual, port: 9094, authentication: {mechanisms: [TLS]}}
`

// Everything is deleted and made again, with the Secrets of the authorities from the backup: the nodes' certificates
// are signed by the same key, and clients trust them as before.
func TestTheAuthoritiesComeBackFromABackup(t *testing.T) {
	folder := t.TempDir()
	names := []string{"events-ca", "events-clients-ca"}
	saved := map[string]map[string][]byte{}
	t.Run("backup", func(t *testing.T) {
		withCRDs(t)
		makeNamespace(t, "kafka")
		start(t, "system", "castellan")
		manifest(t, "kafka", withCertificates)
		nodesTrust(t, nil)
		shell(t, folder, blocks(t)[1])
		for _, name := range names {
			s, err := secretIn(t, name)
			if err != nil {
				t.Fatal(err)
			}
			saved[name] = s.Data
		}
	})
	// What Kubernetes deletes with the KafkaCluster; here nobody does.
	mustKubectl(t, "-n", "kafka", "delete", "--all",
		"secrets,configmaps,services,statefulsets,poddisruptionbudgets,networkpolicies")
	t.Run("restore", func(t *testing.T) {
		withCRDs(t)
		start(t, "system", "castellan")
		shell(t, folder, blocks(t)[2])
		manifest(t, "kafka", withCertificates)
		nodesTrust(t, saved["events-ca"]["ca.crt"])
		for _, name := range names {
			s, err := secretIn(t, name)
			if err != nil || !maps.EqualFunc(s.Data, saved[name], bytes.Equal) {
				t.Errorf("Secret %s holds something else than was saved (%v)", name, err)
			}
		}
	})
}

// nodesTrust waits until the nodes have keys, signed by an authority; nil = any.
func nodesTrust(t *testing.T, authority []byte) {
	t.Helper()
	eventually(t, "the nodes have keys", func() error {
		s, err := secretIn(t, "events-main-internal")
		if err != nil {
			return err
		}
		if authority != nil && !bytes.Equal(bytes.TrimSpace(s.Data["ca.crt"]), bytes.TrimSpace(authority)) {
			return fmt.Errorf("they trust another authority")
		}
		_, err = secretIn(t, "events-clients-ca")
		return err
	})
}
