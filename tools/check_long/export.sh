#!/bin/sh
# export.sh — trains recipes/debug.toml for a moment, exports it, and holds transformers' logits of the
# folder against nautile's (KL <= 1e-4). PyTorch (several GB) is fetched once.
#
#   NAUTILE_ORACLE_PYTHON  an interpreter that has what tools/oracle/requirements.txt names
#   NAUTILE_EXPORT         a BF16 folder to check instead (`nautile export RUN --to FOLDER`)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long/export
cd "$root"
python=${NAUTILE_ORACLE_PYTHON:-$(tools/oracle/setup.sh)}
nautile=build/release/nautile

rm -rf "$work"
mkdir -p "$work"
"$nautile" data generate all --count 400 --split test --format text --out "$work/text" >/dev/null
folder=${NAUTILE_EXPORT:-$work/folder}
if [ -z "${NAUTILE_EXPORT:-}" ]; then
  "$nautile" data generate arithmetic --count 3000 --format text --out "$work/tasks.txt" >/dev/null
  "$nautile" tokenizer train "$work/tasks.txt" --vocab 384 --out "$work/tokenizer" >/dev/null
  # The recipe's own data, with the tokenizer just made.
  sed "s|^tokenizer = .*|tokenizer = \"$work/tokenizer\"|" recipes/debug-data.toml >"$work/data.toml"
  "$nautile" data build "$work/data.toml" --out "$work/data" >/dev/null
  "$nautile" train recipes/debug.toml --out "$work/run" --quiet --set "data.folder=$work/data" \
    --set train.tokens=100000 >/dev/null
  "$nautile" export "$work/run" --to "$folder"
fi
# The second line is what rounding to BF16 costs, expert choices that hang on it among it.
logits="build/release/row_logits -m '$folder'"
"$python" tools/oracle/check_export.py "$folder" "$work/text" \
  --ours 'nautile f32' 1e-4 "$logits --class f32 --kv f32" \
  --ours 'nautile bf16' 1e-2 "$logits --class bf16"
