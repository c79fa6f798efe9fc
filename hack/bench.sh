#!/usr/bin/env bash
# Prints sizes, and the figures of the operator of a running demo. The end-to-end suite prints times and request counts.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

row() { printf '%-46s %s\n' "$1" "$2"; }

binary=$(hack/image.sh binary)
read -r _ folder < <(hack/image.sh image)
row "CRDs (config/crd/bases), bytes of YAML" "$(cat config/crd/bases/*.yaml | wc -c)"
row "operator binary, MiB" "$(du -m "$binary" | cut -f1)"
row "operator image, compressed, MiB" "$(du -m "$folder" | tail -1 | cut -f1)"

files=$(find . -name '*.go' -not -path './hack/*' -not -name '*_test.go' -not -name 'zz_generated*')
row "longest file, lines" "$(xargs wc -l <<<"$files" | grep -v ' total$' | sort -n | tail -1 | awk '{print $1, $2}')"
# A function begins and ends at the left margin, which gofmt sees to.
row "longest function, lines" "$(xargs awk '
	/^func / {name = FILENAME ": " $0; begun = FNR}
	/^}/ && begun {if (FNR - begun > longest) {longest = FNR - begun + 1; which = name}; begun = 0}
	END {print longest, which}' <<<"$files" | cut -c1-110)"
row "Reconcile, lines" "$(awk '/^func .*\) Reconcile\(/ {begun = FNR} /^}/ && begun {printf "%d ", FNR - begun + 1; begun = 0}' controllers/*/*.go)"

kubectl=(hack/localcluster.sh kubectl)
[ -z "${CONTEXT:-}" ] || kubectl=(kubectl --context "$CONTEXT")
if ! "${kubectl[@]}" -n castellan-system get deployment castellan >/dev/null 2>&1; then
	echo "(no demo is running: make demo shows memory and CPU of the operator too)"
	exit
fi
# The metrics port wants a token of somebody who may read it.
name=castellan-bench
trap '"${kubectl[@]}" -n castellan-system delete serviceaccount,clusterrolebinding "$name" --ignore-not-found >/dev/null 2>&1 || true; kill "${forward:-}" 2>/dev/null || true' EXIT
"${kubectl[@]}" -n castellan-system create serviceaccount "$name" >/dev/null
"${kubectl[@]}" create clusterrolebinding "$name" --clusterrole=castellan-metrics-reader --serviceaccount="castellan-system:$name" >/dev/null
token=$("${kubectl[@]}" -n castellan-system create token "$name")
"${kubectl[@]}" -n castellan-system port-forward service/castellan-metrics 18443:8443 >/dev/null 2>&1 &
forward=$!
metrics() { printf 'header = "Authorization: Bearer %s"\n' "$token" | curl -sk --retry 10 --retry-connrefused --retry-delay 1 -K - https://127.0.0.1:18443/metrics; }
value() { awk -v name="$1" '$1 == name {print $2}'; }
first=$(metrics)
sleep 60
second=$(metrics)
row "operator memory (RSS), MiB" "$(value process_resident_memory_bytes <<<"$second" | awk '{printf "%.1f", $1 / 1048576}')"
row "operator CPU at rest, per cent of a core" "$(paste <(value process_cpu_seconds_total <<<"$first") <(value process_cpu_seconds_total <<<"$second") | awk '{printf "%.2f", ($2 - $1) / 60 * 100}')"
row "API write requests in 60 s (the lease included)" "$(for m in "$first" "$second"; do awk '/^rest_client_requests_total/ && /method="(POST|PUT|PATCH|DELETE)"/ {n += $2} END {print n + 0}' <<<"$m"; done | paste -sd' ' | awk '{print $2 - $1}')"
