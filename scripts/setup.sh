#!/usr/bin/env bash
# Makes this checkout ready to run: Debian packages, .venv, pinned dependencies, the native engine.
# Each step leaves a stamp with the hash of what it read and is skipped while that hash stands,
# so that a second run costs a fraction of a second. PYTHON=... chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
stamps=$venv/.stamps

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

main() {
  # One at a time: two terminals may start `make demo` and `make test` together.
  exec 9<. && flock 9
  local python=""
  if ! venv_stands; then python=$(find_python); fi
  install_debian_packages "${python:-$venv/bin/python}"
  if [ -n "$python" ]; then make_venv "$python"; fi
  once dependencies requirements/dev.txt -- install_dependencies
  once browser scripts/setup.sh -- install_browser
  once project pyproject.toml setup.py -- install_project
  mapfile -t sources < <(native_sources)
  if [ ${#sources[@]} -gt 0 ]; then once native setup.py "${sources[@]}" -- build_native; fi
}

# --- the steps ---------------------------------------------------------------------------------

find_python() { # prints the first interpreter that is new enough
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} ${PYTHON:-python3.11 python3 /usr/bin/python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))'
      return
    fi
  done
  die "no Python 3.11 or newer (tried: ${PYTHON:-python3.11, python3, /usr/bin/python3})." \
    "On Debian 12: apt-get install python3; or name one: make setup PYTHON=/path/to/python3.11"
}

install_debian_packages() { # install_debian_packages PYTHON
  local wanted missing=() package command
  # libc6-dev: gcc only recommends it.
  wanted=(ca-certificates gcc libc6-dev libssl-dev make pkg-config swtpm swtpm-tools tpm2-tools)
  # Debian's own Python leaves headers and ensurepip to packages; every other one brings them.
  if "$1" -c 'import sys; sys.exit(sys.base_prefix != "/usr")'; then
    wanted+=(python3-dev python3-venv)
  fi
  if ! command -v dpkg-query >/dev/null; then check_commands; return; fi
  for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0

  command="apt-get update && apt-get install -y --no-install-recommends --no-upgrade ${missing[*]}"
  can_install || die "missing Debian packages, and neither root nor sudo to install them. As root, run: $command"
  apt_install "${missing[@]}" || die "could not install them. As root, run: $command"
}

install_browser() { # for the tests of the benchmarks' report, which skip where there is none
  local command
  for command in chromium-headless-shell chromium chromium-browser google-chrome; do
    if command -v "$command" >/dev/null; then return 0; fi
  done
  if command -v apt-get >/dev/null && can_install && apt_install chromium-headless-shell; then return 0; fi
  say "no Chromium (Debian: chromium-headless-shell): the tests that need one skip"
}

can_install() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

apt_install() { # apt_install PACKAGE...
  local root=()
  if [ "$(id -u)" != 0 ]; then root=(sudo); fi
  root+=(env DEBIAN_FRONTEND=noninteractive)
  say "installing Debian packages: $*"
  quietly "${root[@]}" apt-get update || say "apt-get update failed; trying the lists that are here"
  quietly "${root[@]}" apt-get install -y --no-install-recommends --no-upgrade "$@"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

check_commands() { # not Debian: say what is missing and leave the installing to its owner
  local command missing=()
  for command in gcc pkg-config swtpm swtpm_setup tpm2; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  [ ${#missing[@]} -eq 0 ] ||
    die "not a Debian system, and these commands are missing: ${missing[*]} (also needed: OpenSSL's headers)"
}

venv_stands() { # the environment works, stands where it was made, and is of the asked-for Python
  [ "$(cat "$stamps/venv" 2>/dev/null)" = "$PWD ${PYTHON:-}" ] && "$venv/bin/python" -c '' 2>/dev/null
}

make_venv() { # make_venv PYTHON
  say "making $venv with $1 ($("$1" -V))"
  rm -rf "$venv"
  quietly "$1" -m venv "$venv" || die "could not make $venv with $1"
  mkdir -p "$stamps"
  echo "$PWD ${PYTHON:-}" >"$stamps/venv"
}

install_dependencies() {
  say "installing $(grep -c '^[a-z]' requirements/dev.txt) pinned Python packages"
  # --no-deps: the lock is complete. Wheels only: installing runs nobody's build script.
  pip_install --no-deps --require-hashes --only-binary :all: -r requirements/dev.txt ||
    die "could not install requirements/dev.txt"
}

install_project() {
  say "installing Keystead, editable"
  pip_install --no-deps --no-build-isolation --no-index -e . || die "could not install Keystead"
  # The editable build has just built the extension too.
  mapfile -t sources < <(native_sources)
  if [ ${#sources[@]} -gt 0 ]; then hash_of setup.py "${sources[@]}" >"$stamps/native"; fi
}

build_native() {
  say "building the native engine"
  quietly "$venv/bin/python" setup.py --quiet build_ext --inplace --force ||
    die "could not build the native engine"
}

native_sources() { # what the extension is made of; nothing before its door exists
  [ -e src/keystead/_native/batch.pyx ] || return 0
  find src/keystead/_native native/src native/include -type f \
    \( -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) 2>/dev/null | LC_ALL=C sort
}

# --- the means ---------------------------------------------------------------------------------

once() { # once NAME INPUT... -- COMMAND: runs COMMAND unless it succeeded on these very inputs
  local name=$1 inputs=() hash
  shift
  while [ "$1" != -- ]; do inputs+=("$1"); shift; done
  shift
  hash=$(hash_of "${inputs[@]}")
  if [ "$(cat "$stamps/$name" 2>/dev/null)" = "$hash" ]; then return 0; fi
  rm -f "$stamps/$name"
  "$@"
  echo "$hash" >"$stamps/$name"
}

hash_of() { sha256sum -- "$@" | sha256sum | cut -c1-64; }

pip_install() {
  PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 quietly "$venv/bin/python" -m pip install --quiet "$@"
}

quietly() { # quietly COMMAND...: shows what COMMAND printed only when it failed
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 9<&- || status=$?
  if [ $status -ne 0 ]; then tail -n 40 "$log" >&2; fi
  rm -f "$log"
  return $status
}

main
