#!/bin/bash
#SBATCH --job-name=llmbook
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
# sbatch examples/slurm.sh from the root of the repository, on a file system that all nodes see.
# Two minutes before the time is up SIGTERM lets the run save; the same script, submitted again, goes on.
#SBATCH --signal=TERM@120
set -euo pipefail

RUN=${RUN:-runs/cluster}     # Folder of the run
PRESET=${PRESET:-gpu}        # Settings
SHARE=${SHARE:-fsdp}         # ddp, fsdp, zero2, tensor, or fsdp/8 for tensor groups of 8
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

srun --kill-on-bad-exit=1 .venv/bin/torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node 8 --max-restarts 3 --shutdown-timeout 110 \
    --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$HEAD:29500" \
    -m llmbook pretrain --run-dir "$RUN" --preset "$PRESET" --share "$SHARE"
