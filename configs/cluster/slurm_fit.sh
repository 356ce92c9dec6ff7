#!/usr/bin/env bash
# One training over the GPUs of several Slurm nodes, without Ray: torchrun on each node starts a process for each GPU.
# data.batch_size is that of all processes together. Requeued, it continues from its last whole epoch.
# Command   sbatch --nodes=2 configs/cluster/slurm_fit.sh configs/merged.yaml FOLDER
#SBATCH --job-name=fundusseg
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc_per_node "$SLURM_GPUS_ON_NODE" --rdzv_backend c10d \
  --rdzv_endpoint "$head:29500" -m fundusseg.fit --config "$1" --data.root "$2" --accelerator gpu
