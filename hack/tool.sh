#!/usr/bin/env bash
# Prints the path of a pinned tool, and builds it first where it is missing:
#   hack/tool.sh helm
# Each tool has a module of its own under hack/tools (controller-gen: hack/tools itself), so that no tool decides about
# the versions of another, or of the operator. What is built lies in the user's cache, named by the module's content.
# cert-manager is for the end-to-end tests: its controllers, as a process beside a cluster (--kubeconfig). So are the
# controllers of Flux. The API servers are those of the oldest and the newest Kubernetes that test/api runs on.
# bundle-check is for releases.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}

name=${1:?usage: hack/tool.sh NAME}
flags=
case $name in
bundle-check) module=hack/tools/bundle-check package=. ;;
cert-manager) module=hack/tools/cert-manager package=. ;;
controller-gen) module=hack/tools package=sigs.k8s.io/controller-tools/cmd/controller-gen ;;
source-controller | kustomize-controller | helm-controller)
	module=hack/tools/$name package=github.com/fluxcd/$name
	;;
golangci-lint) module=hack/tools/golangci-lint package=github.com/golangci/golangci-lint/v2/cmd/golangci-lint ;;
gotestsum) module=hack/tools/gotestsum package=gotest.tools/gotestsum ;;
govulncheck) module=hack/tools/govulncheck package=golang.org/x/vuln/cmd/govulncheck ;;
helm) module=hack/tools/helm package=helm.sh/helm/v4/cmd/helm ;;
kube-apiserver-1.35 | kube-apiserver-1.37)
	module=hack/tools/$name package=.
	version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$root/$module/go.mod")
	into=k8s.io/component-base/version
	flags=" -X $into.gitVersion=$version -X $into.gitMajor=1 -X $into.gitMinor=${name##*.}"
	;;
kustomize) module=hack/tools/kustomize package=sigs.k8s.io/kustomize/kustomize/v5 ;;
*)
	echo "hack/tool.sh: no tool is called $name" >&2
	exit 2
	;;
esac

key=$({
	go env GOVERSION GOOS GOARCH
	cat "$root/$module/go.mod" "$root/$module/go.sum"
	find "$root/$module" -maxdepth 1 -name '*.go' -print0 | LC_ALL=C sort -z | xargs -0 -r cat
} | sha256sum | cut -c1-12)
binary=$cache/tools/$name-$key
if [ ! -x "$binary" ]; then
	mkdir -p "$cache/tools"
	exec 9>"$cache/tools/$name.lock"
	flock 9
	if [ ! -x "$binary" ]; then
		SECONDS=0
		echo "building $name (once; a few minutes for the larger ones) ..." >&2
		CGO_ENABLED=0 go -C "$root/$module" build -trimpath -buildvcs=false -ldflags="-s -w$flags" -o "$binary.new" "$package"
		mv "$binary.new" "$binary"
		echo "built $name in ${SECONDS}s" >&2
	fi
fi
printf '%s\n' "$binary"
