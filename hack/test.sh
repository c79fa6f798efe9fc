#!/usr/bin/env bash
# Runs the tests in stages, from those that need nothing to those that need a whole cluster, and counts them.
# Whatever it starts ends with it: when it is done, when a stage fails, and when it is interrupted.
#   STAGES  unit chart api kafka release e2e (default: all)   RUN  only tests whose names match
#   KEEP    leave the cluster running
#   LANE    promise: only the end-to-end cases that begin with promise(t), and no release
#           (default: all; who names cases in RUN means these)
#   SHARD   i/n: the i-th of n pieces; the stages before e2e belong to the first
#   CONTEXT run the e2e stage on an existing cluster of the kubeconfig
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# As the programs are built: with other values everything, Kubernetes included, would be compiled a second time.
export CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS) -trimpath"
export GOFLAGS
export CASTELLAN_CACHE=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}
STAGES=${STAGES:-unit chart api kafka release e2e}
SHARD=${SHARD:-}
[ -n "${RUN:-}" ] || export CASTELLAN_E2E_LANE=${LANE:-}
export CASTELLAN_E2E_SHARD=$SHARD

# A name and address ranges of its own: a demo that runs beside the tests is not touched.
test_cluster=(--name cstl-test --index 1)

work=$(mktemp -d)
child=
cluster=
trap cleanup EXIT
trap 'echo "interrupted: cleaning up" >&2; exit 130' INT TERM HUP

# run starts a command in a process group of its own and waits for it, so that an interrupt reaches this script at once
# and then the whole group.
run() {
	local rc=0
	set -m
	"$@" &
	child=$!
	set +m
	wait "$child" || rc=$?
	child=
	return "$rc"
}

cleanup() {
	local rc=$?
	trap - EXIT INT TERM HUP
	if [ -n "$child" ]; then
		kill -TERM -- "-$child" 2>/dev/null || true
		for _ in {1..100}; do
			kill -0 -- "-$child" 2>/dev/null || break
			sleep 0.2
		done
		kill -KILL -- "-$child" 2>/dev/null || true
	fi
	if [ -n "$cluster" ]; then
		if [ -n "${KEEP:-}" ]; then
			echo "kept; to remove it: hack/localcluster.sh down ${test_cluster[*]}"
		else
			hack/localcluster.sh down || rc=1
		fi
	fi
	rm -rf "$work"
	exit "$rc"
}

# gotest runs one stage's packages in a module: gotest STAGE MODULE TIMEOUT PACKAGE...
gotest() {
	local stage=$1 module=$2 timeout=$3 name flags=()
	shift 3
	name=$stage-$(tr / - <<<"$module")
	[ -z "${RUN:-}" ] || flags+=(-run "$RUN")
	run env -C "$module" "$gotestsum" --format testname --format-hide-empty-pkg --hide-summary=skipped,output \
		--jsonfile "$work/$name.json" -- \
		-count=1 -timeout "$timeout" "${flags[@]}" "$@"
}

# packages lists those of the main module that are tested in stage unit.
packages() {
	go list ./... | grep -vE '/(test/(api|chart|e2e)|internal/kafka|controllers/onkafka)(/|$)'
}

stage_unit() {
	local rc=0 module list
	mapfile -t list < <(packages)
	gotest unit . 20m "${list[@]}" || rc=1
	for module in hack/apidoc hack/demo hack/localcluster test/kstatus; do
		gotest unit "$module" 10m ./... || rc=1
	done
	for module in hack/release test/gitops; do
		gotest unit "$module" 10m . || rc=1
	done
	# The module has a second name here, so that both lists of results are kept.
	[ "${LANE:-}" = promise ] || [ -n "${RUN:-}" ] || RUN='^TestRandomLivesOf' CASTELLAN_PROPERTY_RUNS=1000 \
		gotest unit ./. 30m ./controllers/topic ./controllers/user || rc=1
	return "$rc"
}

stage_chart() { gotest chart . 5m ./test/chart/...; }

# stage_api runs on the local cluster's Kubernetes, and in `make test-all` on the oldest and the newest that is supported.
stage_api() {
	local rc=0 version module=.
	gotest api "$module" 20m ./test/api/... || rc=1
	gotest api test/gitops 20m ./argocd || rc=1
	[ "${LANE:-}" = promise ] && return "$rc"
	for version in 1.35 1.37; do
		CASTELLAN_APISERVER=$(hack/tool.sh "kube-apiserver-$version") || return 1
		export CASTELLAN_APISERVER
		module=./$module # another name each time, so that all lists of results are kept
		echo "Kubernetes $version"
		gotest api "$module" 20m ./test/api/... || rc=1
	done
	unset CASTELLAN_APISERVER
	return "$rc"
}

stage_kafka() {
	local packages=(./internal/kafka/... ./controllers/onkafka ./test/benchtopics ./test/benchusers)
	[ "${LANE:-}" = promise ] || packages+=(./test/benchbalance)
	CASTELLAN_BENCH_OPERATOR=$(hack/image.sh binary) || return 1
	export CASTELLAN_BENCH_OPERATOR
	gotest kafka . 20m "${packages[@]}"
}

# The tools are built first: the first time that takes longer than the tests. So may compiling for another architecture:
# a machine that does other things, too, has taken a quarter of an hour for that.
stage_release() {
	local tool
	for tool in helm kustomize bundle-check; do
		hack/tool.sh "$tool" >/dev/null || return 1
	done
	gotest release hack/release 60m ./whole
}

# existing_cluster points the end-to-end tests at CONTEXT and installs the operator there.
existing_cluster() {
	CASTELLAN_E2E_KUBECONFIG=$work/kubeconfig
	kubectl config view --minify --flatten --context "$CONTEXT" >"$CASTELLAN_E2E_KUBECONFIG"
	chmod 600 "$CASTELLAN_E2E_KUBECONFIG"
	export CASTELLAN_E2E_KUBECONFIG CASTELLAN_E2E_INSTALLED=yes
	run hack/install.sh
}

stage_e2e() {
	if [ -n "${CONTEXT:-}" ]; then
		existing_cluster || return 1
	else
		# A program in front of the real one that always means the cluster of the tests, whoever calls it.
		printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$CASTELLAN_LOCALCLUSTER" "${test_cluster[*]}" >"$work/localcluster"
		chmod +x "$work/localcluster"
		export CASTELLAN_LOCALCLUSTER=$work/localcluster
		cluster=yes
		run hack/localcluster.sh up || return 1
	fi
	export CASTELLAN_E2E_DURATIONS=$work/durations
	local rc=0
	gotest e2e . "$([ "${LANE:-}" = promise ] && echo 75m || echo 150m)" ./test/e2e/... || rc=1
	if [ -s "$CASTELLAN_E2E_DURATIONS" ]; then
		echo
		cat "$CASTELLAN_E2E_DURATIONS"
	fi
	return "$rc"
}

# not_run prints how many end-to-end cases could not be begun, for want of the cluster that they share. They count as skipped.
not_run() { cat "$work/$1"-*.json 2>/dev/null | grep -F '"Action":"output"' | grep -cE '"Output":" +[a-z_0-9]+\.go:[0-9]+: not run: ' || true; }

# count prints how many tests of a stage ended so: count STAGE pass|fail|skip
count() {
	cat "$work/$1"-*.json 2>/dev/null | grep -F "\"Action\":\"$2\"" | grep -cF '"Test":' || true
}

titles=(
	"unit=unit tests and golden files"
	"chart=Helm chart, kustomize and permissions"
	"api=CRDs against a real API server"
	"kafka=client and topics against a real Kafka"
	"release=a release, built twice, published and verified"
	"e2e=end to end: the operator in a cluster"
)
gotestsum=$(hack/tool.sh gotestsum)
CASTELLAN_LOCALCLUSTER=$(hack/localcluster.sh path)
export CASTELLAN_LOCALCLUSTER

rows=()
passed=0 failed=0 skipped=0
for entry in "${titles[@]}"; do
	stage=${entry%%=*}
	[[ " $STAGES " == *" $stage "* ]] || continue
	[ "$stage" != release ] || [ "${LANE:-}" != promise ] || continue
	[ "$stage" = e2e ] || [ -z "$SHARD" ] || [ "${SHARD%%/*}" = 1 ] || continue
	printf '\n=== %s\n' "${entry#*=}"
	begun=$SECONDS rc=0
	"stage_$stage" || rc=1
	p=$(count "$stage" pass) f=$(count "$stage" fail) s=$(count "$stage" skip)
	# A package that does not compile, or a cluster that does not start, fails no test of its own.
	[ "$rc" = 0 ] || [ "$f" != 0 ] || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	n=$(not_run "$stage")
	if [ "$n" = 0 ]; then n=''; else n=", $n of them not run"; fi
	rows+=("$(printf '%-7s %5d passed %4d failed %4d skipped %5ds%s' "$stage" "$p" "$f" "$s" $((SECONDS - begun)) "$n")")
done

printf '\n'
[ "${#rows[@]}" = 0 ] || printf '%s\n' "${rows[@]}"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
if [ $((passed + failed)) = 0 ]; then
	echo "no test was run: STAGES=$STAGES RUN=${RUN:-} SHARD=$SHARD" >&2
	exit 1
fi
[ "$failed" = 0 ]
