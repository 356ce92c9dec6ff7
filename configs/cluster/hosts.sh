#!/usr/bin/env bash
# A plain set of machines that SSH reaches and that see one folder: the first is the head and runs the command.
# Where the head has a token (~/.ray/auth_token), as `ray get-auth-token --generate` makes one, all hosts need the same.
# Command   configs/cluster/hosts.sh "host1 host2 host3" FOLDER OUTPUT CHECKPOINT
set -euo pipefail
read -r head others <<< "$1"
start="export RAY_USAGE_STATS_ENABLED=0; ray start --object-store-memory 1000000000"
ssh "$head" "$start --head --node-ip-address $head --port 6379 --include-dashboard false"
for host in $others; do ssh "$host" "$start --address $head:6379"; done
trap 'for host in $others $head; do ssh "$host" ray stop; done' EXIT
ssh "$head" "python -m fundusseg.predict '$2' --output '$3' --checkpoint '$4' --cluster auto"
