package api

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

var printed = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// A reader copies what a page prints. A whole object of ours is accepted as it stands; parts of one are not tried.
func TestEveryObjectThatThePagesPrintIsAccepted(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages (error %v)", err)
	}
	tried := 0
	for _, page := range append(pages, filepath.Join(repository, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range printed.FindAllStringSubmatch(string(text), -1) {
			tried += accepted(t, filepath.Base(page), block[1])
		}
	}
	if tried < 15 {
		t.Errorf("only %d objects were tried", tried)
	}
}

// accepted tries the objects of a block, and says how many there were.
func accepted(t *testing.T, page, block string) (tried int) {
	t.Helper()
	documents := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(block), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := documents.Decode(u)
		if errors.Is(err, io.EOF) {
			return tried
		}
		if err != nil || u.GetName() == "" || u.GroupVersionKind().Group != v1alpha1.GroupVersion.Group {
			continue
		}
		ensureNamespace(t.Context(), u)
		if _, err := tryCreate(t, u); err != nil {
			t.Errorf("%s: %s %s: %v", page, u.GetKind(), u.GetName(), err)
		}
		tried++
	}
}
