#!/bin/sh
# streams.sh — nautile serve under hard use on the default model: 1,000 streams, a full queue, slow
# and leaving clients, and a soak of NAUTILE_SOAK_SECONDS (default 7200).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
cmake --build build/release --target nautile >/dev/null
./nautile chat -p hello >/dev/null
python3 -u tools/load_test.py streams queue slow-heads leaving
python3 -u tools/load_test.py soak --seconds "${NAUTILE_SOAK_SECONDS:-7200}"
