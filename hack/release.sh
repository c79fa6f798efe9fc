#!/usr/bin/env bash
# Makes a release from the commit that is checked out: `make release` says what by the environment, docs/release.md how.
#   VERSION   v0.1.0, or v0.1.0-rc.1
#   OUT       folder to make (default: release/VERSION in the cache)
#   REGISTRY  folder of the registry that chart and manifests name
#   PUSH      folder of a registry to publish to, in place of REGISTRY
#   KEY       file with the private key that signs, in PEM; KEY_PASSWORD has its password, if it has one
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}
out=${OUT:-$cache/release/${VERSION:-}}
mkdir -p "$(dirname "$out")" "$cache/run"

# Nothing that this machine's Go is set to may change a release: only from where modules come, and where they lie, is
# kept. The program that packs, and helm, are built by the same rule, as they write bytes, too.
kept=(GOPATH GOMODCACHE GOCACHE GOTOOLCHAIN GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOINSECURE GOAUTH GOVCS)
mapfile -t values < <(go env "${kept[@]}")
for i in "${!kept[@]}"; do
	export "${kept[i]}=${values[i]-}"
done
export GOENV=off GOFLAGS='' GOEXPERIMENT='' GOFIPS140=off GOWORK=off GO111MODULE='' GODEBUG=''
unset GOOS GOARCH GOAMD64

args=(-root "$root" -version "${VERSION:-}" -out "$(realpath -m "$out")")
[ -z "${REGISTRY:-}" ] || args+=(-registry "$REGISTRY")
[ -z "${PUSH:-}" ] || args+=(-push "$PUSH")
[ -z "${KEY:-}" ] || args+=(-key "$(realpath -m "$KEY")")

CGO_ENABLED=0 go -C "$root/hack/release" build -trimpath -buildvcs=false -o "$cache/run/release" .
exec "$cache/run/release" "${args[@]}"
