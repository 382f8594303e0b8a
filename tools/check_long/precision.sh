#!/bin/sh
# precision.sh — FP8 against BF16 on recipes/think-small.toml: three runs of 256 steps of 4,096 tokens (BF16,
# FP8, and BF16 with gradients summed over other micro-batches, as the control), evaluated after each step.
# The mean held-out loss over the last 200 steps (over 1 M tokens, the same few thousand at each) may differ by 0.25 %, or by twice what the
# control does. Half an hour on one core; a run that was stopped goes on.
#
#   NAUTILE_WORK  where the runs lie (default build/check-long/precision)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
work=${NAUTILE_WORK:-$root/build/check-long/precision}
nautile=build/release/nautile
# shellcheck source=tools/think_data.sh
. tools/think_data.sh
data=$(think_data_ensure "$nautile" "$root/build/check-long/think")

# train NAME PRECISION SLOTS
train() {
  if [ -d "$work/$1/checkpoints" ]; then
    "$nautile" train --resume --out "$work/$1" --threads 1 --quiet
    return
  fi
  "$nautile" train recipes/think-small.toml --out "$work/$1" --threads 1 --quiet \
    --set "data.folder=\"$data\"" --set "train.precision=\"$2\"" --set "train.slots=$3" \
    --set train.tokens=1048576 --set train.batch_tokens=4096 --set schedule.warmup_steps=20 \
    --set eval.every=1 --set eval.tokens=1600 --set samples.every=0 --set checkpoint.every=32
}
train bf16 bf16 2
train fp8 fp8 2
train control bf16 4
python3 tools/compare_runs.py precision "$work/bf16" "$work/fp8" "$work/control"
