#!/bin/sh
# clients.sh — real clients from PyPI, unmodified, against `nautile serve` with a model, and against the same
# HTTP server and APIs with scripted answers: a table of client × feature, each cell a test.
#
#   NAUTILE_CLIENTS      which ("openai anthropic …"; default all)
#   NAUTILE_CHECK_MODEL  a model file or folder instead of the default one
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long/clients
mkdir -p "$work"
cd "$root"
# shellcheck source=tools/clients/servers.sh
. tools/clients/servers.sh

build_servers nautile scripted_server
trap stop_servers EXIT
trap 'exit 1' INT TERM
start_scripted "$root/tools/clients/script.json"
start_real "$work/real.log" -m "model=$(served_model)" -m think=models/think-small
servers=$(printf '[{"name": "scripted", "url": "%s", "key": "%s", "model": "scripted", "reasoner": "reasoner"},
  {"name": "real", "url": "%s", "key": "%s", "model": "model", "reasoner": ""}]' \
  "$scripted_url" "$servers_key" "$real_url" "$servers_key")

set --
for client in ${NAUTILE_CLIENTS:-openai anthropic ollama litellm langchain llm instructor pydantic_ai openai_agents aider lmeval}; do
  case $client in
    litellm | instructor | aider | lmeval) python=$(tools/clients/setup.sh "$client") ;;
    *) python=$(tools/clients/setup.sh sdk) ;;
  esac
  set -- "$@" "$client=$python"
done
python3 tools/clients/run_clients.py "$servers" "$@"
