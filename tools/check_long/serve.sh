#!/bin/sh
# serve.sh — `nautile serve` under crowds: a thousand streams, a full queue, a thousand slow senders, clients
# that leave in every state, and hours of traffic with memory and descriptors watched.
#
#   NAUTILE_SERVE_MODEL   the model (default: models/think-small)
#   NAUTILE_SOAK_SECONDS  how long the traffic goes on (default: 7200)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
exec python3 tools/check_long/serve_check.py build/release/nautile \
  "${NAUTILE_SERVE_MODEL:-models/think-small}" "${NAUTILE_SOAK_SECONDS:-7200}"
