#!/bin/sh
# deploy.sh — what deploy/ says holds for the program as it was built: the container's second stage installs
# every library that the program is linked with and no other, its places are where the program looks, and
# systemd takes the unit.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
cd "$root"
program=build/release/nautile
work=$root/build/check-long/deploy
rm -rf "$work"
mkdir -p "$work"
failed=0
complain() {
  echo "deploy: $*"
  failed=1
}

# Libraries that the program itself names. Every Debian has those of the compiler and of C; MPI is left out of
# the container's build.
objdump -p "$program" | sed -n 's/^ *NEEDED *//p' | grep -vE '^lib(c|m|stdc\+\+|gcc_s|mpi)\.so|^ld-linux' |
  while read -r library; do
    file=$(ldconfig -p | sed -n "s/^[[:space:]]*$library .*=> //p" | head -n 1)
    dpkg-query -S "$(readlink -f "$file")" | sed 's/:.*//'
  done | sort -u >"$work/needed"
# libcrypto and libssl are one package's.
sed -n '/^FROM debian:12-slim$/,$p' deploy/Containerfile | grep -oE '\blib[a-z0-9+.-]+' |
  sort -u >"$work/installed"
for package in $(comm -23 "$work/needed" "$work/installed"); do
  complain "the container lacks $package, which the program is linked with"
done
for package in $(comm -13 "$work/needed" "$work/installed"); do
  complain "the container installs $package, which the program does not need"
done
[ -s "$work/needed" ] || complain 'no library was found in the program'

# Where the container puts things, laid out here.
mkdir -p "$work/bin" "$work/share/nautile"
cp "$program" "$work/bin/nautile"
ln -s "$root/models" "$work/share/nautile/models"
(cd / && "$work/bin/nautile" think -p 'Make 4 from 2 2.' >/dev/null) || complain 'the installed program does not find its small model'

if command -v systemd-analyze >/dev/null 2>&1; then
  sed "s|/usr/local/bin/nautile|$root/$program|" deploy/nautile.service >"$work/nautile.service"
  if ! systemd-analyze verify --man=no "$work/nautile.service" >"$work/verify" 2>&1 || grep -q nautile.service "$work/verify"; then
    complain "systemd-analyze verify: $(cat "$work/verify")"
  fi
else
  echo 'deploy: no systemd-analyze here: the unit was not verified'
fi
[ "$failed" = 1 ] || echo "deploy: $(wc -l <"$work/needed") libraries, the small model and the unit are as deploy/ says"
exit "$failed"
