#!/bin/sh
# bare.sh — the README's two commands in a bare Debian 12: a fresh minimal root, a clean clone of the
# committed tree, no help from this machine but its mirror, proxies and certificates. Needs root.
#
#   NAUTILE_APT_MIRROR  a Debian mirror; default: the first one in this machine's apt sources
#   NAUTILE_BARE_ROOT   where to make the root (removed afterwards); default: under TMPDIR
#   NAUTILE_BARE_CCACHE a folder of ccache's to copy in: minutes instead of half an hour, but not quite bare
#   NAUTILE_BARE_STEPS  which steps, in order: packages, chat, test; default "chat test"
set -eu

source_root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
# shellcheck source=tools/packages.sh
. "$source_root/tools/packages.sh"

if [ "$(id -u)" -ne 0 ]; then
  echo 'SKIPPED: a bare root can be made by root only'
  exit 77
fi
packages_ensure "$source_root/build/packages.log" "$PACKAGES_BARE"

mirror=${NAUTILE_APT_MIRROR:-$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
  /etc/apt/sources.list 2>/dev/null | sed -n \
  -e 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' \
  -e 's/^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p' | head -n 1)}
[ -n "$mirror" ] || { echo 'no Debian mirror found: set NAUTILE_APT_MIRROR' >&2; exit 1; }

bare=${NAUTILE_BARE_ROOT:-$(mktemp -d)}
mkdir -p "$bare"
# Nothing outside is ever bound into the root, so that removing it is safe; its /proc and /dev/pts live in the
# mount namespace of each command and ends with it.
trap 'rm -rf --one-file-system "$bare"' EXIT
trap 'exit 130' INT TERM

started=$(date +%s)
if ! debootstrap --variant=minbase bookworm "$bare" "$mirror" >"$bare.log" 2>&1; then
  tail -n 15 "$bare.log" >&2
  echo "debootstrap failed; its output is in $bare.log" >&2
  exit 1
fi
rm -f "$bare.log"
echo "bare root: $(du -sm --one-file-system "$bare" | cut -f 1) MB, $(($(date +%s) - started)) s"

# How this machine reaches the network: resolver, proxies, its own certificate authorities.
cp -L /etc/resolv.conf /etc/hosts "$bare/etc/"
apt-config dump | grep -iE '^Acquire::(http|https|Check-)' >"$bare/etc/apt/apt.conf.d/90machine" || :
if [ -d /usr/local/share/ca-certificates ]; then
  mkdir -p "$bare/usr/local/share/ca-certificates"
  cp -rL /usr/local/share/ca-certificates/. "$bare/usr/local/share/ca-certificates/"
fi

git clone -q --no-hardlinks "$source_root" "$bare/srv/nautile"
data=${NAUTILE_TEST_DATA:-$source_root/../shared}
[ ! -d "$data" ] || cp -rL "$data" "$bare/srv/shared"

# inside COMMAND: runs it in the root with an environment of its own.
inside() {
  set -- env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
  for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY NAUTILE_BUILD_JOBS \
    NAUTILE_MIRROR PIP_INDEX_URL; do
    value=$(printenv "$variable" || :)
    [ -z "$value" ] || { shift 2; set -- env -i "$variable=$value" "$@"; }
  done
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount sh -c 'mount -t proc proc "$1/proc" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts" && shift && exec chroot "$@"' sh "$bare" "$bare" "$@"
}

if [ -n "${NAUTILE_BARE_CCACHE:-}" ]; then
  mkdir -p "$bare/root/.cache" "$bare/root/.config/ccache"
  cp -r "$NAUTILE_BARE_CCACHE" "$bare/root/.cache/ccache"
  echo 'sloppiness = pch_defines,time_macros,include_file_mtime,include_file_ctime' >"$bare/root/.config/ccache/ccache.conf"
  inside sh -c 'apt-get update && apt-get install -y --no-install-recommends ccache' >/dev/null 2>&1
fi

# step COMMAND: runs it, prints what it costs in time and disk.
step() {
  before=$(du -sm --one-file-system "$bare" | cut -f 1)
  started=$(date +%s)
  printf '\n-- %s\n' "$1"
  inside sh -c "cd /srv/nautile && $1" </dev/null
  printf -- '-- %s: %s s, %s MB on disk\n' "$1" $(($(date +%s) - started)) \
    $(($(du -sm --one-file-system "$bare" | cut -f 1) - before))
}

# shellcheck disable=SC2016  # the steps' text is expanded inside the root
for name in ${NAUTILE_BARE_STEPS:-chat test}; do
  case "$name" in
    packages) step '. tools/packages.sh && packages_ensure build/packages.log "$PACKAGES_BUILD"' ;;
    chat) step './nautile chat -p hello' ;;
    test) step './nautile test' ;;
    *) echo "unknown step '$name'" >&2 && exit 1 ;;
  esac
done
