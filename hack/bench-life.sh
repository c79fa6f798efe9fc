#!/usr/bin/env bash
# Measures the life of many topics or users on this machine, as root; docs/benchmarks.md says how to read it:
#   hack/bench-life.sh topics|users [-n NUMBER] [-rest DURATION] [-brokers NUMBER] [FLAG...]
# The figures go to ~/.cache/castellan/bench. Whatever it starts ends with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}/bench
program=bench$1
shift
cd "$root"
mkdir -p "$out"
export CGO_ENABLED=0
go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$out/castellan" .
go build -trimpath -buildvcs=false -o "$out/$program" "./test/$program"
CASTELLAN_LOCALCLUSTER=$(hack/localcluster.sh path)
export CASTELLAN_LOCALCLUSTER
exec "$out/$program" -repository "$root" -operator "$out/castellan" -out "$out" "$@"
