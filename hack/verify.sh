#!/usr/bin/env bash
# Checks what needs no running program: hack/verify.sh [CHECK ...]. Every check runs, also after one has failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# As the programs are built: with other values everything, Kubernetes included, would be compiled a second time.
export CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS) -trimpath"
export GOFLAGS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

generated=(api/v1alpha1/zz_generated.deepcopy.go config/crd/bases config/rbac/role.yaml config/external-only/role.yaml charts/castellan/files docs/api.md)
modules=(. hack/apidoc hack/demo hack/localcluster hack/release test/kstatus test/gitops)

check_generated() {
	hack/generate.sh --into "$work/generated"
	local path rc=0
	for path in "${generated[@]}"; do
		diff -ru "$path" "$work/generated/$path" || rc=1
	done
	[ "$rc" = 0 ] || echo "run: make generate" >&2
	return "$rc"
}

check_jar() {
	local rc=0
	internal/plainauth/java/build.sh --verify || rc=$?
	if [ "$rc" = 2 ]; then
		echo "not compared: the bytes are promised for JDK 17 only"
		return 0
	fi
	return "$rc"
}

check_format() {
	local files
	files=$(git ls-files --cached --others --exclude-standard '*.go' | xargs -r gofmt -l)
	[ -z "$files" ] || {
		printf 'run gofmt -w on:\n%s\n' "$files"
		return 1
	}
}

check_vet() {
	local module
	for module in "${modules[@]}"; do
		go -C "$module" vet ./... || return 1
	done
}

check_scripts() {
	local script rc=0
	for script in .ci/run hack/*.sh; do
		bash -n "$script" || rc=1
	done
	return "$rc"
}

check_chart() {
	"$(hack/tool.sh helm)" lint --strict --quiet charts/castellan
}

check_lint() {
	local linter
	linter=$(hack/tool.sh golangci-lint)
	GOFLAGS=-buildvcs=false nice -n 10 "$linter" run ./...
}

check_docs() {
	hack/docs.sh "$work/site"
}

check_vuln() {
	local scanner out rc=0
	scanner=$(hack/tool.sh govulncheck)
	out=$work/vuln
	"$scanner" ./... >"$out" 2>&1 || rc=$?
	# Without the database nothing is known. That is no fault of the code, and it is said aloud.
	if [ "$rc" != 0 ] && grep -qE 'fetching vulnerabilities|vuln\.go\.dev' "$out"; then
		echo "NOT CHECKED: the vulnerability database cannot be reached"
		[ -z "${VULN_REQUIRED:-}" ]
		return
	fi
	cat "$out"
	return "$rc"
}

checks=(generated jar format vet scripts chart docs lint vuln)
[ "$#" = 0 ] || checks=("$@")
failed=()
for check in "${checks[@]}"; do
	declare -F "check_$check" >/dev/null || {
		echo "hack/verify.sh: no check is called $check; there are: generated jar format vet scripts chart docs lint vuln" >&2
		exit 2
	}
	SECONDS=0
	rc=0
	# A subshell of its own, so that `set -e` holds inside the check.
	set +e
	(set -e; "check_$check") >"$work/out" 2>&1
	rc=$?
	set -e
	if [ "$rc" = 0 ]; then
		printf '  ok      %-10s %3ds  %s\n' "$check" "$SECONDS" "$(grep -E '^(not compared|NOT CHECKED)' "$work/out" || true)"
	else
		printf '  FAILED  %-10s %3ds\n' "$check" "$SECONDS"
		sed 's/^/          /' "$work/out"
		failed+=("$check")
	fi
done
if [ "${#failed[@]}" != 0 ]; then
	echo "verify: ${failed[*]} failed" >&2
	exit 1
fi
echo "verify: all checks passed"
