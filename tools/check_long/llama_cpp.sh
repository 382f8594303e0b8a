#!/bin/sh
# llama_cpp.sh — speed beside llama.cpp (PyPI: llama-cpp-python, built here twice: native, and native
# without AMX) on the default model and on a random DeepSeek-V3-shaped mixture of 0.7 B parameters.
# Building the rival takes some 20 minutes on two cores, once; it lies in build/check-long.
#
#   NAUTILE_RIVALS  "NAME=PYTHON …" to use interpreters that have llama_cpp already
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long
mkdir -p "$work/models"
cd "$root"

# shellcheck source=tools/rivals.sh
. tools/rivals.sh
rivals=$(rivals_ensure "$root" native noamx)
cmake --build build/release --target nautile make_model >/dev/null
for format in q8_0 q4_k; do
  [ -f "$work/models/moe-0.7b-$format.gguf" ] ||
    build/release/make_model --config bench/configs/moe-0.7b.json --format "$format" \
      --out "$work/models/moe-0.7b-$format.gguf"
done
default=${XDG_CACHE_HOME:-$HOME/.cache}/nautile/models/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$default" ] || ./nautile chat -p hello >/dev/null

set --
for rival in $rivals; do set -- "$@" --rival "$rival"; done
python3 bench/rival_llama_cpp.py "$@" --depth 4096 "$default" "$work/models/moe-0.7b-q8_0.gguf" \
  "$work/models/moe-0.7b-q4_k.gguf"
