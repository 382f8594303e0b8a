#!/bin/sh
# setup.sh NAME — makes the virtual environment build/check-long/clients/NAME with what requirements/NAME.txt
# pins, unless it is there, and prints its interpreter. Several, since clients pin one another's packages.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
venv=$(CDPATH='' cd -- "$here/../.." && pwd -P)/build/check-long/clients/$1
requirements=$here/requirements/$1.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
  mkdir -p "$(dirname -- "$venv")"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/installed.txt"
fi
echo "$venv/bin/python"
