#!/usr/bin/env bash
# Maintainers only: resolves the extras of pyproject.toml, and peers.in, into hashed lock files.
# Keeps every pin that still fits; UPGRADE=1 moves all of them to the newest fitting release.
set -euo pipefail
cd "$(dirname "$0")/.."

# The hashes must be those of the public registry, whatever mirror or wheel folder this machine has.
unset "${!PIP_@}" "${!UV_@}"
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3.11}" -m venv "$tools"
"$tools/bin/pip" install --quiet 'uv==0.13.9'

compile() { # compile OUTPUT SOURCE ARGUMENT...: writes requirements/OUTPUT
  "$tools/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate ${UPGRADE:+--upgrade} \
    --output-file "requirements/$1" "${@:2}"
  echo "requirements/$1: $(grep -c '^[a-z]' "requirements/$1") packages"
}

compile dev.txt pyproject.toml --extra dev
# Production runs the very releases that the tests ran.
compile server.txt pyproject.toml --extra server --constraints requirements/dev.txt
# With the same OpenSSL and CBOR as ours, so that a benchmark compares verifiers and not those.
compile peers.txt requirements/peers.in --constraints requirements/dev.txt
