#!/usr/bin/env bash
# Builds the operator and its image:
#   hack/image.sh binary   compiles; prints the path
#   hack/image.sh image    makes an OCI layout; prints "REFERENCE FOLDER"
#   hack/image.sh load     makes it and loads it into the local cluster (arguments go to localcluster); prints the reference
# The tag is a hash of the program, so that installing the same operator again restarts nothing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}
what=${1:?usage: hack/image.sh binary|image|load}
shift

binary=$cache/run/castellan
mkdir -p "$cache/run"
CGO_ENABLED=0 go -C "$root" build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$binary" .
if [ "$what" = binary ]; then
	printf '%s\n' "$binary"
	exit
fi

tag=$(sha256sum "$binary" | cut -c1-12)
reference=castellan:$tag
folder=$cache/operator/$tag
if [ ! -f "$folder/index.json" ]; then
	mkdir -p "$cache/operator"
	"$root/hack/localcluster.sh" image --from-binary "$binary" --ref "$reference" --out "$folder" >&2
	# Older layouts are only of use to whoever goes back to that very program.
	ls -1dt "$cache"/operator/*/ | tail -n +4 | xargs -r rm -rf
fi
case $what in
image) printf '%s %s\n' "$reference" "$folder" ;;
load)
	"$root/hack/localcluster.sh" load-image "$folder" "$@" >&2
	printf '%s\n' "$reference"
	;;
*)
	echo "usage: hack/image.sh binary|image|load" >&2
	exit 2
	;;
esac
