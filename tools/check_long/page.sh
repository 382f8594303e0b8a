#!/bin/sh
# page.sh — the browser page in headless Chromium: against a small server of ours that says what each
# check needs, and, where the program is built, against `nautile serve` with the default model.
# Playwright's Python package (some 50 MB; it brings no browser, Debian's is used) is fetched once.
#
#   NAUTILE_PAGE_SHOTS  a folder for pictures of the page
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$root/build/check-long
cd "$root"
# shellcheck source=tools/packages.sh
. tools/packages.sh
packages_ensure build/packages.log "$PACKAGES_BUILD $PACKAGES_PAGE"

venv=$work/page
requirements=tools/page_test/requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
  mkdir -p "$work"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/installed.txt"
fi
if [ -n "${NAUTILE_PAGE_SHOTS:-}" ]; then
  "$venv/bin/python" tools/page_test/check_page.py --shots "$NAUTILE_PAGE_SHOTS"
else
  "$venv/bin/python" tools/page_test/check_page.py
fi

# The program itself, on a port that the system gives.
if ! ./nautile serve --help >/dev/null 2>&1; then
  echo 'page: this program has no verb serve: not checked against it'
  exit 0
fi
log=$work/page-serve.log
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
build/release/nautile serve --port "$port" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || :' EXIT INT TERM
tries=0
until curl -sf "http://127.0.0.1:$port/health" >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 120 ] || ! kill -0 "$server" 2>/dev/null; then
    tail -n 20 "$log" >&2
    exit 1
  fi
  sleep 0.5
done
"$venv/bin/python" tools/page_test/check_page.py --url "http://127.0.0.1:$port/"
