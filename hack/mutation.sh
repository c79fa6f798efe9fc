#!/usr/bin/env bash
# Breaks the planner's rules one by one, in the test binary and not in the source, and prints for each the first test that
# turns red and what then goes wrong in the simulator. Fails when a broken rule is missed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go test -C "$root" -trimpath -c -o "$work/plan.test" ./internal/plan
cd "$root/internal/plan"

# The random clusters are looked at apart; these tests break the rules themselves, or only count.
skip='TestRandomClusters|TestTrouble|TestEveryPredicateIsMissed|TestTheDocumentation|TestARollTakes|TestFiftyBrokers|TestAPlanIsCheap'

# subtests come before the test that they are part of, and are the ones that tell
red() { sed -nE 's/^ +--- FAIL: ([^ ]+) .*/\1/p; s/^--- FAIL: ([^ ]+) .*/\1/p' "$1" | awk 'index($0, "/") {print; found = 1; exit} {last = $0} END {if (!found) print last}'; }
promise() { sed -nE 's/.*CASTELLAN_PROPERTY_SEED=[0-9]+: *([0-9]+s +)?//p' "$1" | head -1 | cut -d';' -f1; }

missed=0
printf '%-18s %-78s %s\n' 'rule' 'first test that turns red' 'broken promise in random clusters'
for rule in $(awk -F'`' '/^\| `/ {print $2}' "$root/docs/predicates.md"); do
	export CASTELLAN_MUTATE=$rule
	test=
	"$work/plan.test" -test.failfast -test.skip "$skip" >"$work/rules" 2>&1 || test=$(red "$work/rules")
	CASTELLAN_PROPERTY_RUNS=${CASTELLAN_PROPERTY_RUNS:-150} "$work/plan.test" -test.run TestRandomClusters >"$work/random" 2>&1 || true
	[ -n "$test" ] || missed=$((missed + 1))
	printf '%-18s %-78s %s\n' "$rule" "${test:-MISSED}" "$(promise "$work/random")"
done
[ "$missed" = 0 ] || {
	echo "hack/mutation.sh: $missed broken rules are missed: write a test for each" >&2
	exit 1
}
