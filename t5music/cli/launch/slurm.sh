#!/bin/bash
# A training on GPUs by SLURM, in a container that pyxis runs: a task for each GPU.
#
# Needs:   SLURM with pyxis and enroot; an image of t5music for CUDA (t5music launch docker), in a registry
#          (REGISTRY#IMAGE) or as a .sqsh file; folders that all nodes see, below {{mount}}, or paths in buckets.
# Run:     sbatch SCRIPT            again to go on; a job that is requeued, or near its time limit, saves and goes on
#SBATCH --job-name={{name}}
#SBATCH --nodes={{nodes}}
#SBATCH --gpus-per-node={{gpus}}
#SBATCH --ntasks-per-node={{gpus}}
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={{name}}_%j.log
set -euo pipefail
srun --kill-on-bad-exit=1 --container-image={{image}} --container-mounts={{mount}}:{{mount}} \
    {{command}}
