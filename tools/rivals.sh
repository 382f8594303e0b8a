# rivals.sh — llama.cpp to compare with (PyPI: llama-cpp-python), built in virtual environments under
# build/check-long; some ten minutes each on two cores, once. Sourced by tools/check_long: POSIX sh.
# shellcheck shell=sh

# rivals_ensure ROOT NAME…: prints "NAME=PYTHON …", interpreters that can import llama_cpp. NAME is
# native, or noamx: native but without AMX, which is not built where the CPU has none: it would be the
# same program. NAUTILE_RIVALS, of the same form, is taken instead if set.
rivals_ensure() {
  if [ -n "${NAUTILE_RIVALS:-}" ]; then
    printf '%s' "$NAUTILE_RIVALS"
    return
  fi
  rivals_work=$1/build/check-long
  shift
  for rivals_name in "$@"; do
    if [ "$rivals_name" = noamx ] && ! grep -qw amx_tile /proc/cpuinfo; then continue; fi
    rivals_venv=$rivals_work/llama-$rivals_name
    if ! "$rivals_venv/bin/python" -c 'import llama_cpp' 2>/dev/null; then
      echo "building llama.cpp ($rivals_name)" >&2
      rivals_flags='-DGGML_NATIVE=ON'
      [ "$rivals_name" != noamx ] ||
        rivals_flags="$rivals_flags -DCMAKE_C_FLAGS=-mno-amx-tile -DCMAKE_CXX_FLAGS=-mno-amx-tile"
      mkdir -p "$rivals_work"
      python3 -m venv --clear "$rivals_venv" || return 1
      CMAKE_ARGS=$rivals_flags "$rivals_venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
        --no-binary llama-cpp-python llama-cpp-python==0.3.36 >&2 || return 1
    fi
    printf '%s=%s ' "$rivals_name" "$rivals_venv/bin/python"
  done
}
