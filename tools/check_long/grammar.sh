#!/bin/sh
# grammar.sh — constrained decoding with DeepSeek-V3's vocabulary: random texts of 1,000 random schemas of each
# of two generators against jsonschema, with ample and with tight budgets, and masks against xgrammar's on a
# sample. Python packages (some 40 MB; no PyTorch) are fetched once.
#
#   NAUTILE_GRAMMAR_SCHEMAS  how many random schemas of each (1000; 0: only the comparison)
#   NAUTILE_GRAMMAR_START    the seed that they are drawn from (1)
#   NAUTILE_GRAMMAR_WALKS    walks beside xgrammar, of each of its schemas (12)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long
cd "$root"

tokenizer=${NAUTILE_TEST_DATA:-$root/../shared}/tokenizers/deepseek_v3
if [ ! -d "$tokenizer" ]; then
  echo "SKIPPED: no tokenizer at $tokenizer (NAUTILE_TEST_DATA names the test data's folder)"
  exit 77
fi
venv=$work/grammar
requirements=tools/oracle/grammar_requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
  mkdir -p "$work"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  # Alone: it asks for PyTorch, which its masks do not need.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps xgrammar==0.2.9
  cp "$requirements" "$venv/installed.txt"
fi
cmake --build build/release --target grammar_cases >/dev/null
"$venv/bin/python" tools/oracle/grammar_oracle.py build/release/grammar_cases "$tokenizer" \
  --schemas "${NAUTILE_GRAMMAR_SCHEMAS:-1000}" --start "${NAUTILE_GRAMMAR_START:-1}" \
  --xgrammar "${NAUTILE_GRAMMAR_WALKS:-12}"
