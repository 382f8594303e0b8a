# build_jobs.sh — how many compilers this machine bears. Sourced by ./nautile and .ci/run: POSIX sh.
# shellcheck shell=sh

# build_jobs: how many compilers run at a time: one per core, each with 1 GiB of free memory.
build_jobs() {
  if [ -n "${NAUTILE_BUILD_JOBS:-}" ]; then
    printf '%s' "$NAUTILE_BUILD_JOBS"
    return
  fi
  jobs=$(nproc 2>/dev/null || printf 1)
  free_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || :)
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || :)
  case "$limit" in '' | max | *[!0-9]*) limit='' ;; esac
  if [ -n "$limit" ] && [ $((limit / 1048576)) -lt "${free_mb:-1000000}" ]; then
    free_mb=$((limit / 1048576))
  fi
  most=$((${free_mb:-$((jobs * 1024))} / 1024))
  [ "$most" -ge 1 ] || most=1
  [ "$jobs" -le "$most" ] || jobs=$most
  printf '%s' "$jobs"
}
