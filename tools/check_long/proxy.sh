#!/bin/sh
# proxy.sh — two replicas behind nginx and behind HAProxy with the configurations of deploy/: tokens come
# one by one, requests that begin alike meet, a client that leaves frees its place, a replica that goes is
# not noticed.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
. tools/packages.sh
packages_ensure build/packages.log "$PACKAGES_PROXY" || exit 1
exec python3 tools/check_long/proxy_check.py build/release/nautile models/think-small
