#!/usr/bin/env bash
# Breaks rules one by one, in the test binary and not in the source, and prints for each the first test that turns red.
# Fails when a broken rule is missed. Without arguments both parts are run:
#   plan     the planner's rules, and what then goes wrong in the simulator
#   balance  goals and bounds of the moving of replicas: hack/mutations.txt
# With ROWS, balance takes only those rows of the file which that extended regular expression finds: ROWS='^course/'
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0
missed=0

# The random clusters are looked at apart; these tests break the rules themselves, or only count.
skip='TestRandomClusters|TestTrouble|TestEveryPredicateIsMissed|TestTheDocumentation|TestARollTakes|TestFiftyBrokers|TestAPlanIsCheap'

# subtests come before the test that they are part of, and are the ones that tell
red() { sed -nE 's/^ +--- FAIL: ([^ ]+) .*/\1/p; s/^--- FAIL: ([^ ]+) .*/\1/p' "$1" | awk 'index($0, "/") {print; found = 1; exit} {last = $0} END {if (!found) print last}'; }
# endless tells of tests that got no further, as a plan without an end takes all memory or time.
endless() { grep -qE 'out of memory|cannot allocate memory|signal: killed|test timed out' "$1" && echo '(a plan never ends)'; }
promise() { sed -nE 's/.*CASTELLAN_PROPERTY_SEED=[0-9]+: *([0-9]+s +)?//p' "$1" | head -1 | cut -d';' -f1; }

plan() {
	go test -C "$root" -trimpath -c -o "$work/plan.test" ./internal/plan
	cd "$root/internal/plan"
	printf '%-18s %-78s %s\n' 'rule' 'first test that turns red' 'broken promise in random clusters'
	for rule in $(awk -F'`' '/^\| `/ {print $2}' "$root/docs/predicates.md"); do
		export CASTELLAN_MUTATE=$rule
		test=
		"$work/plan.test" -test.failfast -test.skip "$skip" >"$work/rules" 2>&1 || test=$(red "$work/rules")
		CASTELLAN_PROPERTY_RUNS=${CASTELLAN_PROPERTY_RUNS:-150} "$work/plan.test" -test.run TestRandomClusters >"$work/random" 2>&1 || true
		[ -n "$test" ] || missed=$((missed + 1))
		printf '%-18s %-78s %s\n' "$rule" "${test:-MISSED}" "$(promise "$work/random")"
	done
	unset CASTELLAN_MUTATE
}

# balance compiles each broken file in the place of the one that there is.
balance() {
	printf '%s\n' '#!/bin/sh' 'ulimit -v 4194304' 'exec "$@"' >"$work/bounded"
	chmod +x "$work/bounded"
	printf '%-17s %-68s %s\n' 'file' 'what goes wrong' 'first test that turns red'
	while IFS= read -r line; do
		case $line in '' | '#'*) continue ;; esac
		[[ $line =~ ${ROWS:-.} ]] || continue
		{ read -r file && read -r what && read -r code && read -r broken || true; } < <(
			awk -F' :: ' '{printf "%s\n%s\n%s\n%s\n", $1, $2, $3, $4}' <<<"${line% ::}")
		source=$root/internal/$file
		text=$(cat "$source")
		rest=${text/"$code"/}
		if [ "$rest" = "$text" ] || [ "${rest/"$code"/}" != "$rest" ]; then
			echo "hack/mutations.txt: $file has this not at all, or several times: $code" >&2
			exit 1
		fi
		printf '%s\n' "${text/"$code"/"$broken"}" >"$work/broken.go"
		printf '{"Replace": {"%s": "%s"}}\n' "$source" "$work/broken.go" >"$work/overlay.json"
		test=
		rooms=(./internal/course)
		case $file in balance/*) rooms+=(./internal/balance) ;; esac
		CASTELLAN_PROPERTY_RUNS=${CASTELLAN_PROPERTY_RUNS:-60} go test -C "$root" -trimpath -vet=off -ldflags=-w \
			-overlay "$work/overlay.json" -failfast -count=1 -timeout 5m -exec "$work/bounded" "${rooms[@]}" >"$work/balance" 2>&1 ||
			test=$(red "$work/balance")
		[ -n "$test" ] || test=$(endless "$work/balance" || true)
		if grep -q 'build failed' "$work/balance"; then
			cat "$work/balance" >&2
		fi
		[ -n "$test" ] || missed=$((missed + 1))
		printf '%-17s %-68s %s\n' "$file" "$what" "${test:-MISSED}"
	done <"$root/hack/mutations.txt"
}

[ $# -gt 0 ] || set -- plan balance
for part in "$@"; do
	case $part in
	plan | balance) "$part" ;;
	*) echo "usage: hack/mutation.sh [plan] [balance]" >&2 && exit 2 ;;
	esac
done
[ "$missed" = 0 ] || {
	echo "hack/mutation.sh: $missed broken rules are missed: write a test for each" >&2
	exit 1
}
