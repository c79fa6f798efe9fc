#!/usr/bin/env bash
# Measures on this machine what one write to a KafkaTopic costs the API server and etcd; docs/benchmarks.md says how to
# read it:
#   hack/bench-writes.sh [-n NUMBER] [-rounds NUMBER] [-only REGEXP]
# It starts four API servers on loopback, which end with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}/bench
cd "$root"
mkdir -p "$out"
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$out/writes" ./test/bench/writes
CASTELLAN_LOCALCLUSTER=$(hack/localcluster.sh path)
export CASTELLAN_LOCALCLUSTER
exec "$out/writes" -repository "$root" "$@"
