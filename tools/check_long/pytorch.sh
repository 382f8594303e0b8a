#!/bin/sh
# pytorch.sh — training beside PyTorch (PyPI; several GB, fetched once): the shape of recipes/think.toml and
# a dense one of width 1,024, the same tokens a step. First the rival's loss and gradients are held against
# the twin that nautile's tests are held against.
#
#   NAUTILE_ORACLE_PYTHON  an interpreter that has what tools/oracle/requirements.txt names
#   NAUTILE_RIVAL_OPTIONS  of bench/rival_pytorch.py: --rounds 5 --batch-tokens 32768 --slots 4
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long/pytorch
cd "$root"
python=${NAUTILE_ORACLE_PYTHON:-$(tools/oracle/setup.sh)}
nautile=build/release/nautile

if [ ! -d "$work/data" ]; then
  rm -rf "$work"
  mkdir -p "$work"
  "$nautile" data generate all --count 8000 --format text --out "$work/tasks.txt" >/dev/null
  "$nautile" tokenizer train "$work/tasks.txt" --vocab 512 --out "$work/tokenizer" >/dev/null
  cat >"$work/data.toml" <<END
tokenizer = "$work/tokenizer"
[[source]]
name = "tasks"
kind = "tasks"
tasks = ["arithmetic", "word", "countdown3", "countdown4"]
count = 40000
END
  "$nautile" data build "$work/data.toml" --out "$work/new" >/dev/null
  mv "$work/new" "$work/data"
fi
set -- recipes/think.toml bench/configs/dense-1024.toml
python3 bench/rival_pytorch.py --check --python "$python" "$@"
# Options are words without spaces.
# shellcheck disable=SC2086
python3 bench/rival_pytorch.py --python "$python" --data "$work/data" ${NAUTILE_RIVAL_OPTIONS:-} "$@"
