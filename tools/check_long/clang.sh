#!/bin/sh
# clang.sh — the release built by clang 16: without a warning, and every test passes.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
build=$root/build/check-long/clang
cd "$root"
# shellcheck source=tools/packages.sh
. tools/packages.sh
# shellcheck source=tools/build_jobs.sh
. tools/build_jobs.sh
packages_ensure build/packages.log "$PACKAGES_CLANG"

mkdir -p "$build"
log=$build/build.log
if ! { cmake --preset release -B "$build" -DCMAKE_CXX_COMPILER=clang++-16 -DCMAKE_COMPILE_WARNING_AS_ERROR=ON &&
  cmake --build "$build" -j "$(build_jobs)"; } >"$log" 2>&1; then
  grep -E 'error:|warning:' "$log" | sort -u | head -n 40
  echo "the build failed; the whole output is in $log"
  exit 1
fi
clang++-16 --version | head -n 1
ctest --test-dir "$build" --parallel 2 --output-on-failure --no-tests=error >"$build/ctest.log" 2>&1 || {
  sed -n '/% tests passed/,$p' "$build/ctest.log"
  echo "the whole output is in $build/ctest.log"
  exit 1
}
sed -n '/% tests passed/,$p' "$build/ctest.log"
