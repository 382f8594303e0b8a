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

# rivals_llama_server ROOT: prints the path of llama.cpp's own server, built from the source that the
# package carries; some half an hour on two cores, once. NAUTILE_LLAMA_SERVER, a path, is taken
# instead if set. Returns 1, with the reason on stderr, if it cannot be had.
rivals_llama_server() {
  if [ -n "${NAUTILE_LLAMA_SERVER:-}" ]; then
    if ! [ -x "$NAUTILE_LLAMA_SERVER" ]; then
      echo "NAUTILE_LLAMA_SERVER is '$NAUTILE_LLAMA_SERVER': that is no program" >&2
      return 1
    fi
    printf '%s' "$NAUTILE_LLAMA_SERVER"
    return
  fi
  rivals_work=$1/build/check-long/llama-server
  rivals_program=$rivals_work/build/bin/llama-server
  if ! [ -x "$rivals_program" ]; then
    echo 'building llama-server' >&2
    mkdir -p "$rivals_work"
    python3 -m venv --clear "$rivals_work/venv" || return 1
    "$rivals_work/venv/bin/pip" download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
      --no-binary llama-cpp-python --dest "$rivals_work" llama-cpp-python==0.3.36 >&2 || return 1
    tar -xzf "$rivals_work"/llama_cpp_python-0.3.36.tar.gz -C "$rivals_work" --strip-components=1 \
      --wildcards '*/vendor/llama.cpp' || return 1
    if ! { cmake -S "$rivals_work/vendor/llama.cpp" -B "$rivals_work/build" -DCMAKE_BUILD_TYPE=Release \
      -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
      -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_MTMD=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF &&
      cmake --build "$rivals_work/build" --target llama-server -j 2; } >"$rivals_work/build.log" 2>&1; then
      tail -n 20 "$rivals_work/build.log" >&2
      echo "cannot build llama-server; the whole output is in $rivals_work/build.log" >&2
      return 1
    fi
  fi
  printf '%s' "$rivals_program"
}
