#!/bin/sh
# kill.sh — kills a training run 1,000 times at random instants; after each the newest checkpoint must be
# whole, hold what was told to be saved, and be the bits of a run that nobody killed.
#
#   NAUTILE_KILLS  how often
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
NAUTILE_KILLS=${NAUTILE_KILLS:-1000} build/release/test_cross --gtest_filter=Kill.NothingIsLost
