#!/usr/bin/env bash
# Measures on this machine how a cluster that has grown is evened out; docs/benchmarks.md says how to read it:
#   hack/bench-balance.sh [-size 256Mi] [-rate 10Mi] [-data equal,skewed] [FLAG...]
# The figures go to ~/.cache/castellan/bench. Whatever it starts ends with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}/bench
cd "$root"
mkdir -p "$out"
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$out/benchbalance" ./test/benchbalance
exec "$out/benchbalance" -out "$out" "$@"
