#!/usr/bin/env bash
# One node of a Ray cluster, or any other command:
#   node.sh head         the head: places batches, runs none, shows the dashboard
#   node.sh worker       joins the head at RAY_HEAD (HOST:PORT)
#   node.sh COMMAND...   runs the command in its place
# RAY_NODE_OPTIONS adds options of `ray start`. On SIGTERM, Ray places nothing more on a node and gives what runs
# there RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S seconds to end.
set -euo pipefail

read -ra options <<<"${RAY_NODE_OPTIONS:-}"
start=(ray start --block --object-store-memory 100000000) # receipts are small; results go straight to the store

case ${1:?usage: $0 head|worker|COMMAND...} in
  head)
    exec "${start[@]}" --head --port "${RAY_PORT:-6379}" --num-cpus 0 --num-gpus 0 \
      --dashboard-host "${RAY_DASHBOARD_HOST:-0.0.0.0}" "${options[@]}"
    ;;
  worker)
    head=${RAY_HEAD:?RAY_HEAD is not set: HOST:PORT of the head}
    for attempt in {1..60}; do # machines start in any order
      ray health-check --address "$head" >/dev/null 2>&1 && break
      ((attempt < 60)) || { echo "no Ray head answers at $head" >&2 && exit 1; }
      sleep 2
    done
    exec "${start[@]}" --address "$head" "${options[@]}"
    ;;
  *) exec "$@" ;;
esac
