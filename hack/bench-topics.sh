#!/usr/bin/env bash
# Measures the life of N topics on this machine, as root; docs/benchmarks.md says how to read it:
#   hack/bench-topics.sh [-n TOPICS] [-rest DURATION]
# The figures go to ~/.cache/castellan/bench. Whatever it starts ends with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}/bench
cd "$root"
mkdir -p "$out"
export CGO_ENABLED=0
go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$out/castellan" .
go build -trimpath -buildvcs=false -o "$out/benchtopics" ./test/benchtopics
CASTELLAN_LOCALCLUSTER=$(hack/localcluster.sh path)
export CASTELLAN_LOCALCLUSTER
exec "$out/benchtopics" -repository "$root" -operator "$out/castellan" -out "$out" "$@"
