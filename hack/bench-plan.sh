#!/usr/bin/env bash
# Prints what one plan costs, how many rounds a roll takes, and what a view of Kafka costs. Fails above the bounds.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go test -C "$root" -trimpath -c -o "$work/plan.test" ./internal/plan
cd "$root/internal/plan"
rc=0

echo 'One plan for 500 brokers that all need a restart, replication factor 3 (bounds: 200 ms and 64 MiB at 100,000)'
printf '  %-12s %8s %8s %16s\n' partitions ms MiB 'us a partition'
"$work/plan.test" -test.run '^$' -test.bench BenchmarkNext -test.benchtime 20x >"$work/bench" || rc=1
awk '/^BenchmarkNext/ {
	match($1, /partitions=[0-9]+/)
	n = substr($1, RSTART + 11, RLENGTH - 11)
	printf "  %-12d %8.1f %8.1f %16.2f\n", n, $3 / 1e6, $5 / 1048576, $3 / 1e3 / n
}' "$work/bench"
grep -E 'bench_test.go' "$work/bench" || true

echo
echo 'Rounds in which 50 brokers in 3 racks restart, in the simulator (bound: 6 with a replica in every rack)'
"$work/plan.test" -test.run TestFiftyBrokersInThreeRacks -test.v >"$work/rounds" || rc=1
awk '/^=== RUN .*\// {sub(/.*\//, ""); gsub(/_/, " "); name = $0} /rounds_test.go/ {sub(/.*rounds_test.go:[0-9]+: /, ""); printf "  %-28s %s\n", name, $0}' "$work/rounds"

echo
echo 'Requests to Kafka (checked on three real nodes by make test STAGES=kafka)'
echo '  a view of the cluster       7 and one a broker, for 5 topics as for 200 (TestSnapshotCostsTheSameForFewAndManyTopics)'
echo '  at rest                     one view in 30 s, the health check (whenAtRest in controllers)'
echo '  a client that is not used   none (TestAtRestNothingIsSent)'
exit "$rc"
