#!/usr/bin/env bash
# One Slurm allocation as a Ray cluster; the last line may be `study` or `predict`, or `fit` with --cluster_jobs, as many
# processes as there are GPUs.
# Command   sbatch --nodes=4 configs/cluster/slurm_ray.sh FOLDER OUTPUT CHECKPOINT
#SBATCH --job-name=fundusseg
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-task=1
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_PER_TASK" -- \
  python -m fundusseg.predict "$1" --output "$2" --checkpoint "$3" --device cuda --cluster auto --cluster_gpus 1
