#!/bin/sh
# balance.sh — auxiliary-loss-free balancing on recipes/think-small.toml: the largest over layers of the fullest
# expert's load over the mean, averaged over the last 100 of 300 steps, is at most 1.5; with the bias frozen
# it is larger. No balance loss in either. Half an hour on one core; a run that was stopped goes on.
#
#   NAUTILE_WORK  where the runs lie (default build/check-long/balance)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
work=${NAUTILE_WORK:-$root/build/check-long/balance}
nautile=build/release/nautile
# shellcheck source=tools/think_data.sh
. tools/think_data.sh
data=$(think_data_ensure "$nautile" "$root/build/check-long/think")

# train NAME GAMMA ALPHA
train() {
  if [ -d "$work/$1/checkpoints" ]; then
    "$nautile" train --resume --out "$work/$1" --threads 1 --quiet
    return
  fi
  "$nautile" train recipes/think-small.toml --out "$work/$1" --threads 1 --quiet \
    --set "data.folder=\"$data\"" --set train.tokens=1228800 --set train.batch_tokens=4096 \
    --set 'train.precision="f32"' --set schedule.warmup_steps=20 --set model.num_nextn_predict_layers=0 \
    --set "schedule.bias_gamma=$2" --set "schedule.balance_alpha=$3" \
    --set eval.every=0 --set samples.every=0 --set checkpoint.every=50
}
train balanced 0.005 0
train frozen 0 0
python3 tools/compare_runs.py balance "$work/balanced" "$work/frozen"
