#!/usr/bin/env bash
# A training on all hosts of a TPU pod slice: the same command on each, one program over them all; no Ray is needed.
# Command   configs/cluster/tpu_slice.sh NAME ZONE configs/tpu.yaml FOLDER
set -euo pipefail
gcloud compute tpus tpu-vm ssh "$1" --zone "$2" --worker all --command \
  "python -m fundusseg.fit --config '$3' --data.root '$4' --accelerator tpu"
