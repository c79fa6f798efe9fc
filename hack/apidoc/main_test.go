package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const example = `
spec:
  group: kafka.castellan.dev
  scope: Namespaced
  names: {kind: KafkaThing, plural: kafkathings, shortNames: [kx], categories: [kafka]}
  versions:
  - name: v1alpha1
    schema:
      openAPIV3Schema:
        description: A thing.
        properties:
          spec:
            required: [replicas]
            properties:
              color: {type: string, description: "Red | blue.", enum: [Red, Blue], default: Red}
              replicas: {type: integer, description: How many.}
              disks:
                type: array
                description: Its disks.
                items: {type: object, properties: {size: {x-kubernetes-int-or-string: true, description: In bytes.}}}
`

func TestReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{path}, &out); err != nil {
		t.Fatal(err)
	}
	for what, line := range map[string]string{
		"the aliases":                    "`kubectl get kafkathings`, `kx`, `kafka`.",
		"a required field with its mark": "| `spec.replicas`* | integer | How many. |",
		"an enum, its default and a safe cell": "| `spec.color` | string | Red \\| blue. Default: `\"Red\"`. " +
			"One of `Red`, `Blue`. |",
		"a field of a list's item": "| `spec.disks[].size` | quantity | In bytes. |",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the reference lacks %s: %s\n%s", what, line, out.String())
		}
	}
	if strings.Index(out.String(), "spec.replicas") > strings.Index(out.String(), "spec.color") {
		t.Error("required fields do not come first")
	}
}

func TestWhatIsNoCRDIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(path, []byte("kind: ConfigMap"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{path}, &strings.Builder{}); err == nil {
		t.Error("no error")
	}
}
