#!/bin/sh
# equality.sh — what a server answers does not depend on its cache, on who else is served, on streaming or on a
# restart: text, logprobs and finish of many prompts, to the byte.
#
#   NAUTILE_CHECK_PROMPTS  how many (500)
#   NAUTILE_CHECK_SEED     of the prompts (1): several runs with fewer and other seeds are one in parts
#   NAUTILE_CHECK_MODEL    a model file or folder instead of the default one
#   NAUTILE_TEST_DATA      the folder of the test data (../shared)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long/clients
mkdir -p "$work"
cd "$root"
# shellcheck source=tools/clients/servers.sh
. tools/clients/servers.sh

text=${NAUTILE_TEST_DATA:-$root/../shared}/data/text_pd/austen_emma.txt
if [ ! -f "$text" ]; then
  echo "SKIPPED: no text at $text (NAUTILE_TEST_DATA names the test data's folder)"
  exit 77
fi
build_servers nautile
trap stop_servers EXIT
trap 'exit 1' INT TERM
cache=$work/equality-cache
rm -rf "$cache"
prompts=${NAUTILE_CHECK_PROMPTS:-500}
seed=${NAUTILE_CHECK_SEED:-1}
model=$(served_model)
failed=0

start_real "$work/equality.log" -m "model=$model" --disk-cache "$cache"
python3 tools/clients/equality_check.py "$real_url" "$servers_key" model "$text" --prompts "$prompts" --seed "$seed" \
  --save "$work/equality.json" || failed=1
stop_servers
echo 'equality: restarted, with the cache on disk'
start_real "$work/equality.log" -m "model=$model" --disk-cache "$cache"
python3 tools/clients/equality_check.py "$real_url" "$servers_key" model "$text" --prompts "$prompts" --seed "$seed" \
  --load "$work/equality.json" || failed=1
rm -rf "$cache"
exit "$failed"
