#!/usr/bin/env bash
# Builds the operator and installs the chart, on the local cluster or on CONTEXT. What is installed already and has not
# changed is not restarted: the image's tag is a hash of the program.
#   IMAGE  with CONTEXT: REPOSITORY:TAG or REPOSITORY@DIGEST that the cluster can pull
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
helm=$(hack/tool.sh helm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

target=()
if [ -z "${CONTEXT:-}" ]; then
	image=$(hack/image.sh load)
	target=(--kubeconfig "$(hack/localcluster.sh kubeconfig)")
else
	target=(--kube-context "$CONTEXT")
	if [ -n "${IMAGE:-}" ]; then
		image=$IMAGE
	elif [[ $CONTEXT == kind-* ]]; then
		read -r image folder < <(hack/image.sh image)
		tar -C "$folder" -cf "$work/image.tar" .
		kind load image-archive "$work/image.tar" --name "${CONTEXT#kind-}"
	else
		echo "CONTEXT=$CONTEXT needs IMAGE=REPOSITORY:TAG, an operator image that this cluster can pull;" >&2
		echo "make image prints the folder of the OCI layout to push" >&2
		exit 2
	fi
fi

if [[ $image == *@* ]]; then
	values=(--set-string "image.repository=${image%@*}" --set-string "image.digest=${image#*@}")
else
	values=(--set-string "image.repository=${image%:*}" --set-string "image.tag=${image##*:}")
fi
"$helm" upgrade --install castellan charts/castellan "${target[@]}" \
	--namespace castellan-system --create-namespace "${values[@]}" --wait --timeout 3m >"$work/out" 2>&1 || {
	cat "$work/out" >&2
	exit 1
}
echo "installed $image in the namespace castellan-system"
