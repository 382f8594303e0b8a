# servers.sh — servers on free ports, for the checks that source this. The caller has set `root` and
# `work`, and calls stop_servers on its way out.

# shellcheck shell=sh disable=SC2154,SC2034  # root and work come from, what is set goes to the caller
servers_pids=''
servers_key=check-clients-key

stop_servers() {
  for pid in $servers_pids; do kill "$pid" 2>/dev/null || :; done
  for pid in $servers_pids; do wait "$pid" 2>/dev/null || :; done
  servers_pids=''
}

# wait_for_line FILE PATTERN: the first line that fits, within two minutes.
wait_for_line() {
  tries=0
  while ! grep -m1 -E "$2" "$1"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ]; then
      echo "servers: nothing like '$2' in $1:" >&2
      tail -n 5 "$1" >&2
      return 1
    fi
    sleep 0.2
  done
}

# start_scripted SCRIPT: sets scripted_url.
start_scripted() {
  : >"$work/scripted.log"  # an earlier server's address must not be found in it
  "$root/build/release/scripted_server" "$1" >"$work/scripted.log" 2>&1 &
  servers_pids="$servers_pids $!"
  scripted_url=$(wait_for_line "$work/scripted.log" '^http://')
}

# start_real LOG ARGUMENT…: `nautile serve ARGUMENT…`; sets real_url and real_pid.
start_real() {
  real_log=$1
  shift
  : >"$real_log"
  printf 'check:%s\n' "$servers_key" >"$work/keys.txt"
  "$root/build/release/nautile" serve --port 0 --api-keys "$work/keys.txt" "$@" >"$real_log" 2>"$real_log.json" &
  real_pid=$!
  servers_pids="$servers_pids $real_pid"
  real_url=$(wait_for_line "$real_log" '^nautile serves ' | sed 's/.* at //')
  [ -n "$real_url" ]
}

# served_model: the default model's file, or NAUTILE_CHECK_MODEL.
served_model() {
  model=${NAUTILE_CHECK_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/nautile/models/SmolLM2-135M-Instruct.Q4_1.gguf}
  [ -e "$model" ] || "$root/build/release/nautile" chat -p hello >/dev/null
  echo "$model"
}

# build_servers TARGET…: quietly, in the release build.
build_servers() {
  NAUTILE_PACKAGES=${NAUTILE_PACKAGES:-} cmake --preset release >/dev/null
  cmake --build "$root/build/release" --target "$@" >"$work/build.log" 2>&1 ||
    { tail -n 20 "$work/build.log" >&2; return 1; }
}
