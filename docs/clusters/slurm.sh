#!/bin/bash
# A run on Slurm: a Ray cluster of the allocated nodes for as long as the job lives.
#   cd my_releases && sbatch PATH/slurm.sh ravdess          (runs of params.yaml; none: all)
# The project's folder and the environment lie on a disk that all nodes see; so may the work store (the default,
# .emoforge/store, then does). Requeued or run out of time? The same command goes on where it was.
#SBATCH --job-name=emoforge
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
set -euo pipefail

VENV="${VENV:-$SLURM_SUBMIT_DIR/.venv}"
# shellcheck source=/dev/null
source "$VENV/bin/activate"
cd "$SLURM_SUBMIT_DIR"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head="${nodes[0]}"
address="$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')"
port=$((20000 + SLURM_JOB_ID % 20000)) # jobs that share a node do not share a port
export RAY_ADDRESS="$address:$port"

srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
  ray start --head --node-ip-address="$address" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
  --include-dashboard=false --block &
sleep 15
if ((${#nodes[@]} > 1)); then
  others="$(IFS=,; echo "${nodes[*]:1}")"
  srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --nodelist="$others" --overlap \
    ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 15
fi

# the driver has to stand on a node of the cluster; srun hands it the signal that comes before the end
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap emoforge run "$@" &
driver=$!
trap 'kill -TERM "$driver"' TERM
code=0
wait "$driver" || code=$?
exit "$code" # Slurm ends what else the job started
