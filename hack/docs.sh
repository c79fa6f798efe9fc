#!/usr/bin/env bash
# Builds the documentation as a site and prints its first page. A link to a page, a heading or a file that there is not,
# and a page that is not in hack/site/mkdocs.yml, fail it. mkdocs is installed once, in the user's cache.
#   hack/docs.sh [FOLDER]
#   SERVE  a port of this machine on which the site is then served, until it is interrupted
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}
folder=${1:-$cache/site}

key=$({
	python3 --version
	cat "$root/hack/site/requirements.txt"
} | sha256sum | cut -c1-12)
tools=$cache/tools/mkdocs-$key
mkdir -p "$cache/tools"
exec 9>"$cache/tools/mkdocs.lock"
flock 9
if [ ! -e "$tools/complete" ]; then
	SECONDS=0
	echo "installing mkdocs (once) ..." >&2
	python3 -m venv --clear "$tools"
	"$tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r "$root/hack/site/requirements.txt"
	touch "$tools/complete"
	echo "installed mkdocs in ${SECONDS}s" >&2
fi
# mkdocs tells its users about its own future at each build.
NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 "$tools/bin/python" -m mkdocs build --strict --clean \
	--config-file "$root/hack/site/mkdocs.yml" --site-dir "$folder" 2>"$tools/log" || {
	cat "$tools/log" >&2
	exit 1
}
flock -u 9
printf '%s\n' "$folder/index.html"
if [ -n "${SERVE:-}" ]; then
	exec "$tools/bin/python" -m http.server --bind 127.0.0.1 --directory "$folder" "$SERVE"
fi
