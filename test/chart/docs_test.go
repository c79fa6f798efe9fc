package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// installs are the blocks of a page that install the chart.
var installs = regexp.MustCompile("(?ms)^```sh\n([^`]*^helm upgrade --install castellan charts/castellan .*?)^```$")

// renders has helm render what it would install.
const renders = `
kubectl() { :; }
helm() { [ "$1 $2" = "upgrade --install" ] && shift 2 && "$HELM" template --kube-version 1.36.0 "$@"; }
`

// The chart has every value that a page tells to set: its schema refuses others.
func TestThePagesInstallTheChartWithValuesThatItHas(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range installs.FindAllStringSubmatch(string(text), -1) {
			shell := exec.Command("bash", "-euo", "pipefail", "-c", renders+block[1])
			shell.Dir, shell.Env = root, append(os.Environ(), "HELM="+tool(t, "helm"))
			out, err := shell.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "kind: Deployment") {
				t.Errorf("%s: %v\n%s\n%s", filepath.Base(page), err, block[1], out)
			}
			tried++
		}
	}
	if tried < 2 {
		t.Errorf("only %d blocks were tried", tried)
	}
}
