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

args=(-root "$root" -version "${VERSION:-}" -out "$(realpath -m "$out")")
[ -z "${REGISTRY:-}" ] || args+=(-registry "$REGISTRY")
[ -z "${PUSH:-}" ] || args+=(-push "$PUSH")
[ -z "${KEY:-}" ] || args+=(-key "$(realpath "$KEY")")
for tool in helm kustomize bundle-check; do
	path=$("$root/hack/tool.sh" "$tool")
	args+=("-$tool" "$path")
done

CGO_ENABLED=0 go -C "$root/hack/release" build -trimpath -buildvcs=false -o "$cache/run/release" .
exec "$cache/run/release" "${args[@]}"
