# packages.sh — which Debian packages each job needs, and how they get installed. Sourced by
# ./nautile, .ci/run and tools/check_long: POSIX sh, defines functions and lists, does nothing itself.
# shellcheck shell=sh
# shellcheck disable=SC2034  # the lists are read by those who source this file
# shellcheck disable=SC2086  # lists are split on purpose

# To build and run the program; pip fetches the default model.
PACKAGES_BUILD='g++ cmake ninja-build pkg-config libfmt-dev nlohmann-json3-dev libcli11-dev
  libpcre2-dev libutf8proc-dev libedit-dev libxxhash-dev libssl-dev
  libtomlplusplus-dev libzstd-dev libboost1.81-dev libsqlite3-dev ca-certificates python3-pip
  libjs-marked libjs-highlight.js libjs-katex'
# Besides, for `./nautile test`, `./nautile bench` and `./nautile check-long`.  Open MPI is for training in several
# processes: without it the program is built, too.
PACKAGES_TEST='libgtest-dev libgmock-dev libopenmpi-dev openmpi-bin'
PACKAGES_BENCH='libbenchmark-dev'
PACKAGES_CHECK_LONG='git python3-venv'
# For the long check of replicas behind a proxy.
PACKAGES_PROXY='nginx-light haproxy python3'
# For the long check of the browser page, besides.
PACKAGES_PAGE='chromium python3-venv curl'
# For the long check in a bare Debian root.
PACKAGES_BARE='debootstrap git'
# For the long check with the other compiler.
PACKAGES_CLANG='clang-16'
# Besides, for .ci/run.
PACKAGES_CI='git clang-16 clang-format clang-tidy-16 libclang-rt-16-dev qemu-user shellcheck'

# packages_missing LIST: prints those of LIST that are not installed, on one line.
packages_missing() {
  # dpkg-query fails where it does not know a name; what it prints about the others counts.
  installed=" $(dpkg-query -W -f '${db:Status-Status}/${Package} ' $1 2>/dev/null || :) "
  missing=''
  for package in $1; do
    case "$installed" in
      *" installed/$package "*) ;;
      *) missing="$missing${missing:+ }$package" ;;
    esac
  done
  printf '%s' "$missing"
}

packages_say() { printf 'nautile: %s\n' "$*" >&2; }

# packages_ensure LOG LIST: installs what is missing of LIST; silent when nothing is. apt-get's words
# go to the file LOG. Returns 1, having said on stderr what to do, when that fails.
packages_ensure() {
  log=$1
  list=$(printf '%s ' $2)
  [ "${NAUTILE_PACKAGES:-}" != skip ] || return 0
  if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    packages_without_apt "$list"
    return
  fi
  missing=$(packages_missing "$list")
  [ -n "$missing" ] || return 0

  become_root=''
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      packages_ask_administrator "$missing" 'sudo is not installed'
      return 1
    elif ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && [ -t 2 ]; }; then
      packages_ask_administrator "$missing" 'sudo wants a password and there is no terminal'
      return 1
    fi
    become_root='sudo '
  fi
  packages_say "installing $missing (${become_root}apt-get)"
  mkdir -p "$(dirname "$log")" && : >"$log" || return 1
  if packages_apt "$log" install $missing; then return 0; fi
  # No package lists yet, or lists so old that the archive has moved on.
  if packages_apt "$log" update && packages_apt "$log" install $missing; then return 0; fi
  packages_explain_failure "$log" "$missing"
  return 1
}

# packages_apt LOG VERB ARGUMENT...: one apt-get call, without questions.
packages_apt() {
  apt_log=$1
  verb=$2
  shift 2
  set -- env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 --no-install-recommends "$verb" "$@"
  [ -z "$become_root" ] || set -- sudo "$@"
  printf '+ %s\n' "$*" >>"$apt_log"
  # apt-get update reports an unreachable archive as a warning and succeeds; --error-on=any would
  # also fail on an archive that nobody needs, so the install that follows is what decides.
  "$@" >>"$apt_log" 2>&1 </dev/null
}

packages_ask_administrator() {
  packages_say "needs packages that are not installed, and $2."
  packages_say "Ask an administrator to run:"
  printf '  apt-get update && apt-get install --no-install-recommends %s\n' "$1" >&2
}

packages_explain_failure() {
  tail -n 12 "$1" | sed 's/^/  | /' >&2
  if grep -qE 'Could not (resolve|connect)|Temporary failure|Cannot initiate|Network is unreachable|Failed to fetch' "$1"; then
    packages_say 'could not reach the package archive: is there a network (or a proxy for apt)?'
  elif grep -q 'Unable to locate package' "$1"; then
    packages_say 'a package is unknown here: nautile is built for Debian 12, Ubuntu 24.04 and newer.'
  fi
  packages_say "could not install: $2"
  packages_say "apt-get's output is in $1. To install by hand, as root:"
  printf '  apt-get update && apt-get install --no-install-recommends %s\n' "$2" >&2
}

# Another system may have everything under other names: go on if the tools are there.
packages_without_apt() {
  absent=''
  for tool in c++ cmake ninja pkg-config; do
    command -v "$tool" >/dev/null 2>&1 || absent="$absent $tool"
  done
  [ -n "$absent" ] || return 0
  packages_say "not found:$absent. This system has no apt-get, so install by its own means what"
  packages_say 'Debian calls:'
  printf '  %s\n' "$1" >&2
  return 1
}
