#!/usr/bin/env bash
# Runs the program of hack/localcluster, compiled into the user's cache:
#   hack/localcluster.sh up
# `path` prints where the program is. CASTELLAN_LOCALCLUSTER names another program to run instead: the tests put one there
# that always means their own cluster.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}
program=${CASTELLAN_LOCALCLUSTER:-}

if [ -z "$program" ]; then
	program=$cache/run/localcluster
	mkdir -p "$cache/run"
	CGO_ENABLED=0 go -C "$root/hack/localcluster" build -trimpath -buildvcs=false -o "$program" .
fi
if [ "${1:-}" = path ]; then
	printf '%s\n' "$program"
	exit
fi
exec "$program" "$@"
