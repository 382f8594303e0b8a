#!/bin/sh
# llama_server.sh — nautile serve beside llama.cpp's llama-server: tokens per second and time to the
# first token at 1, 4 and 16 clients, on the default model and on a random DeepSeek-V3-shaped mixture
# of 0.7 B parameters; fails below 1.5 times the rival's throughput at 16 clients, or with a later
# first token. Building the rival takes some half an hour on two cores, once; it lies in
# build/check-long.
#
#   NAUTILE_LLAMA_SERVER  PATH of a llama-server to use
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
models=$root/build/check-long/models
mkdir -p "$models"
cd "$root"

# shellcheck source=tools/rivals.sh
. tools/rivals.sh
rival=$(rivals_llama_server "$root")
cmake --build build/release --target nautile make_model >/dev/null
mixture=$models/moe-0.7b-q8_0.gguf
[ -f "$mixture" ] ||
  build/release/make_model --config bench/configs/moe-0.7b.json --format q8_0 --out "$mixture"
default=${XDG_CACHE_HOME:-$HOME/.cache}/nautile/models/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$default" ] || ./nautile chat -p hello >/dev/null

python3 bench/rival_server.py --rival "$rival" --least-ratio 1.5 "$default" "$mixture"
