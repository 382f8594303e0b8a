#!/bin/sh
# smollm2.sh — the default model on 20,480 tokens of real text against transformers in float32 on the
# same dequantized weights, and llama.cpp on the same tokens beside it. Fails when a bar of
# tools/oracle/compare_text.py is missed. PyTorch (several GB) and llama.cpp are fetched once.
#
#   NAUTILE_ORACLE_PYTHON  an interpreter that has what tools/oracle/requirements.txt names
#   NAUTILE_RIVALS         "NAME=PYTHON …" to use interpreters that have llama_cpp already
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long
mkdir -p "$work"
cd "$root"
# shellcheck source=tools/rivals.sh
. tools/rivals.sh

texts=${NAUTILE_TEST_DATA:-$root/../shared}/data/text_pd
if [ ! -d "$texts" ]; then
  echo "SKIPPED: no texts at $texts (NAUTILE_TEST_DATA names the test data's folder)"
  exit 77
fi
model=${NAUTILE_TEST_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/nautile/models/SmolLM2-135M-Instruct.Q4_1.gguf}
[ -f "$model" ] || ./nautile chat -p hello >/dev/null
python=${NAUTILE_ORACLE_PYTHON:-$(tools/oracle/setup.sh)}

# The reference is made again for another model or another oracle.
oracle=tools/oracle/smollm2_oracle.py
version=$(cat "$model" "$oracle" tools/oracle/requirements.txt | sha256sum | cut -c 1-12)
reference=$work/smollm2-$version.safetensors
if [ ! -f "$reference" ]; then
  rm -f "$work"/smollm2-*.safetensors*
  "$python" "$oracle" "$model" "$texts/austen_emma.txt" "$texts/us_state_of_union.txt" \
    "$texts/shakespeare_8plays.txt" "$texts/bible_kjv.txt" --out "$reference.part"
  mv "$reference.part" "$reference"
fi

rivals=$(rivals_ensure "$root" native)
cmake --build build/release --target row_logits >/dev/null
logits="build/release/row_logits -m '$model'"
set -- --ours 'nautile i8' 2e-3 "$logits --class i8" \
  --ours 'nautile f32' 1e-5 "$logits --class f32 --kv f32"
for rival in $rivals; do
  set -- "$@" --rival "llama.cpp ${rival%%=*}" "'${rival#*=}' tools/oracle/llama_cpp_logits.py '$model'"
done
"$python" tools/oracle/compare_text.py "$reference" "$@"
