#!/bin/bash
# A run on a Ray cluster that stands already, by its job server.
#   bash submit.sh http://HEAD:8265 /path/of/the/project/on/the/head ravdess
# The project's folder lies on the head (a clone, or what `emoforge init` began), with a machine.yaml whose store all
# nodes reach ({store: s3://BUCKET/emoforge}); every node has the same emoforge installed. Nothing is uploaded.
set -euo pipefail
if (($# < 2)); then
  echo "usage: submit.sh ADDRESS PROJECT [RUN...]" >&2
  exit 2
fi
address="$1" project="$2"
shift 2
unset RAY_ADDRESS RAY_API_SERVER_ADDRESS # Ray would take them rather than what is named here
words="$(printf '%q ' emoforge run "$@")"
exec ray job submit --address "$address" --submission-id "emoforge-$(date +%Y%m%d-%H%M%S)" -- \
  bash -c "cd $(printf '%q' "$project") && exec $words"
