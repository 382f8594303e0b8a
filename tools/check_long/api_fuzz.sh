#!/bin/sh
# api_fuzz.sh — schemathesis by our own OpenAPI document: 10,000 cases against scripted answers and 200 against
# a model; every number of the document beyond its bounds; and every stream against its format and against the
# whole answer. No 5xx, and what comes back is what the document says.
#
#   NAUTILE_FUZZ_CASES   against scripted answers (10000); NAUTILE_FUZZ_REAL: against a model (200)
#   NAUTILE_FUZZ_SEED    of the cases (1): several runs with fewer cases and other seeds are one in parts
#   NAUTILE_FUZZ_PARTS   what is run ("streams numbers scripted real")
#   NAUTILE_CHECK_MODEL  a model file or folder instead of the default one
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long/clients
mkdir -p "$work"
cd "$root"
# shellcheck source=tools/clients/servers.sh
. tools/clients/servers.sh

build_servers nautile scripted_server
python=$(tools/clients/setup.sh check)
trap stop_servers EXIT
trap 'exit 1' INT TERM
start_scripted "$root/tools/clients/script.json"
start_real "$work/real.log" "model=$(served_model)"
failed=0
parts=" ${NAUTILE_FUZZ_PARTS:-streams numbers scripted real} "
asked() { case $parts in *" $1 "*) return 0 ;; esac; return 1; }

# fuzz NAME URL MODEL CASES TOKENS
fuzz() {
  operations=$("$python" -c 'import json, sys, urllib.request as r
d = json.load(r.urlopen(r.Request(sys.argv[1] + "/openapi.json", headers={"Authorization": "Bearer " + sys.argv[2]})))
print(sum("requestBody" in o for p in d["paths"].values() for o in p.values()))' "$2" "$servers_key")
  # Those without a body have few cases, and some of the others not as many as they might.
  examples=$(($4 * 3 / 2 / operations + 1))
  # In its folder: it keeps a cache where it is started.
  cd "$work"
  NAUTILE_FUZZ_MODEL=$3 NAUTILE_FUZZ_TOKENS=$5 SCHEMATHESIS_HOOKS=fuzz_hooks PYTHONPATH=$root/tools/clients \
    "$python" -m schemathesis.cli run "$2/openapi.json" --url "$2" --header "Authorization: Bearer $servers_key" \
    --phases fuzzing --max-examples "$examples" --seed "${NAUTILE_FUZZ_SEED:-1}" --continue-on-failure --generation-database none \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance \
    --suppress-health-check all --request-timeout 60 >"$work/fuzz-$1.log" 2>&1 || failed=1
  cd "$root"
  cases=$(sed -n 's/^ *\([0-9,]*\) generated.*/\1/p' "$work/fuzz-$1.log" | tail -n 1 | tr -d ,)
  tail -n 12 "$work/fuzz-$1.log"
  if [ "${cases:-0}" -lt "$4" ]; then
    echo "fuzz $1: ${cases:-0} cases, expected at least $4"
    failed=1
  fi
}

check_streams() {
  echo "== streams, $1"
  "$python" tools/clients/check_streams.py "$2" "$servers_key" "$1" || failed=1
}

if asked streams; then
  check_streams scripted "$scripted_url"
  check_streams model "$real_url"
fi
if asked numbers; then
  "$python" tools/clients/check_numbers.py "$scripted_url" "$servers_key" scripted || failed=1
fi
if asked scripted; then fuzz scripted "$scripted_url" scripted "${NAUTILE_FUZZ_CASES:-10000}" 200; fi
if asked real; then fuzz real "$real_url" model "${NAUTILE_FUZZ_REAL:-200}" 4; fi
exit "$failed"
