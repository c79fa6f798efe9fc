#!/usr/bin/env bash
# Writes what is generated, into the repository or, with --into DIR, into a folder of the same shape (make verify
# compares the two). The broker's jar is left out then: its own script compares it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
into=$root
if [ "${1:-}" = --into ]; then
	into=${2:?usage: hack/generate.sh [--into DIR]}
fi
cd "$root"
controller_gen=$(hack/tool.sh controller-gen)

mkdir -p "$into"/{api/v1alpha1,config/crd/bases,config/rbac,config/external-only,charts/castellan/files/crds,docs}
# No maxDescLen: `kubectl explain` shall say all of it.
"$controller_gen" crd paths=./api/... output:crd:dir="$into/config/crd/bases"
# The deepcopy generator cannot read a map whose values are an alias; without alias nodes it sees the string behind it.
GODEBUG=gotypesalias=0 "$controller_gen" object paths=./api/... output:object:dir="$into/api/v1alpha1"
# controller-gen passes over a marker in the comment of a declaration, and the operator would lack the permission.
stray=$(awk 'FNR == 1 {marker = 0}
	marker && !/^\/\/ \+kubebuilder:rbac/ && NF {print FILENAME ":" FNR - 1}
	{marker = /^\/\/ \+kubebuilder:rbac/}' controllers/*.go controllers/*/*.go)
if [ -n "$stray" ]; then
	printf 'generate: put an empty line after these rbac markers, or they have no effect:\n%s\n' "$stray" >&2
	exit 1
fi
"$controller_gen" rbac:roleName=castellan-manager paths=./controllers/... output:rbac:dir="$into/config/rbac"

cp "$into"/config/crd/bases/*.yaml "$into/charts/castellan/files/crds/"
sed -n '/^rules:/,$p' "$into/config/rbac/role.yaml" >"$into/charts/castellan/files/rules.yaml"
# Without the controller of the operator's own clusters, whose permissions stand with it.
"$controller_gen" rbac:roleName=castellan-manager paths=./controllers/batch paths=./controllers/external \
	paths=./controllers/tenure paths=./controllers/topic paths=./controllers/user output:rbac:dir="$into/config/external-only"
sed -n '/^rules:/,$p' "$into/config/external-only/role.yaml" >"$into/charts/castellan/files/rules-external.yaml"
cp config/gateway-api/rules.yaml "$into/charts/castellan/files/rules-gateway.yaml"
cp config/endpoint-slices/rules.yaml "$into/charts/castellan/files/rules-endpointslices.yaml"
go -C hack/apidoc run . "$into"/config/crd/bases/*.yaml >"$into/docs/api.md"

if [ "$into" = "$root" ]; then
	internal/plainauth/java/build.sh
	echo "generated: api/v1alpha1 (deepcopy), config/crd, config/rbac and config/external-only (role.yaml), charts/castellan/files, docs/api.md, the broker's jar"
fi
