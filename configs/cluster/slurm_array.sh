#!/usr/bin/env bash
# A study as a Slurm array, without Ray: every task runs the same command, and each takes what is not done and not held.
# The folder must lie where all nodes see it and its locks (NFS 4, Lustre mounted with -o flock).
# Command   sbatch --array=1-12 configs/cluster/slurm_array.sh configs/studies/public.yaml FOLDER OUTPUT
#SBATCH --job-name=fundusseg
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail
exec python -m fundusseg.study --config "$1" --data.root "$2" --output "$3" --accelerator gpu
