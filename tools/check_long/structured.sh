#!/bin/sh
# structured.sh — structured output through the server: random schemas of hypothesis-jsonschema at temperature 1.5,
# with many and with the fewest tokens, every answer valid by jsonschema; keywords outside of the subset refused by
# name; hostile schemas within time and memory.
#
#   NAUTILE_GRAMMAR_SCHEMAS  how many schemas (1000)
#   NAUTILE_GRAMMAR_START    the seed that they are drawn from (1)
#   NAUTILE_CHECK_MODEL      a model file or folder instead of the default one
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long/clients
mkdir -p "$work"
cd "$root"
# shellcheck source=tools/clients/servers.sh
. tools/clients/servers.sh

build_servers nautile
python=$(tools/clients/setup.sh schemas)
trap stop_servers EXIT
trap 'exit 1' INT TERM
start_real "$work/structured.log" -m "model=$(served_model)"
"$python" tools/clients/structured_check.py "$real_url" "$servers_key" model \
  --schemas "${NAUTILE_GRAMMAR_SCHEMAS:-1000}" --start "${NAUTILE_GRAMMAR_START:-1}" --server "$real_pid"
