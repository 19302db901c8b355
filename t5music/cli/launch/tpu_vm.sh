#!/bin/bash
# A training on a Cloud TPU: makes the TPU, installs t5music on all of its machines, and runs the same command on each.
#
# Needs:   gcloud, logged in, with a project that has quota for {{accelerator}} in {{zone}};
#          dist/t5music-*.whl in the current folder (make wheel, in the clone);
#          paths in buckets that the TPU's service account may read and write.
# Run:     bash SCRIPT            again after the TPU was lost: the training goes on
# Remove:  bash SCRIPT delete     a TPU costs money until then
set -euo pipefail

name={{name}}
zone={{zone}}
project={{project}}
accelerator={{accelerator}}
version={{version}}
slices={{slices}}
command={{command}}

project=${project:-$(gcloud config get-value project)}
place=(--project="$project" --zone="$zone")
nodes=("$name")
if (( slices > 1 )); then
    nodes=()
    for (( number = 0; number < slices; number++ )); do nodes+=("$name-$number"); done
fi

make_tpu() {
    if (( slices == 1 )); then
        gcloud compute tpus tpu-vm create "$name" "${place[@]}" --accelerator-type="$accelerator" --version="$version"
        return
    fi
    gcloud compute tpus queued-resources create "$name" "${place[@]}" --node-count="$slices" --node-prefix="$name" \
        --accelerator-type="$accelerator" --runtime-version="$version"
    until [[ $(gcloud compute tpus queued-resources describe "$name" "${place[@]}" --format="value(state.state)") == ACTIVE ]]
    do
        sleep 30
    done
}

delete_tpu() {
    if (( slices == 1 )); then
        gcloud compute tpus tpu-vm delete "$name" "${place[@]}" --quiet
    else
        gcloud compute tpus queued-resources delete "$name" "${place[@]}" --force --quiet
    fi
}

on_all_machines() {
    local node jobs=() status=0
    for node in "${nodes[@]}"; do
        gcloud compute tpus tpu-vm ssh "$node" "${place[@]}" --worker=all --command="$1" &
        jobs+=("$!")
    done
    for job in "${jobs[@]}"; do wait "$job" || status=$?; done
    return "$status"
}

if [[ ${1:-} == delete ]]; then
    delete_tpu
    exit
fi
wheel=$(ls dist/t5music-*.whl | tail -n 1)
gcloud compute tpus tpu-vm describe "${nodes[0]}" "${place[@]}" > /dev/null 2>&1 || make_tpu
for node in "${nodes[@]}"; do
    gcloud compute tpus tpu-vm scp "$wheel" "$node:" "${place[@]}" --worker=all
done
# The machines' own Python is older than 3.11.
on_all_machines "python3 -m pip install --quiet --user uv && python3 -m uv venv --quiet --allow-existing --python 3.12 env && \
python3 -m uv pip install --quiet --python env/bin/python './$(basename "$wheel")[gcs]' 'jax[tpu]'"
on_all_machines "env/bin/$command"
