#!/usr/bin/env bash
# Regenerates the gRPC code from src/keystead/protocol/**/*.proto, next to its sources.
# The output is committed: a user of the package needs no compiler for it.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t protos < <(find src/keystead/protocol -name '*.proto' | LC_ALL=C sort)
[ ${#protos[@]} -gt 0 ] || { echo "no .proto files under src/keystead/protocol" >&2; exit 1; }
.venv/bin/python -m grpc_tools.protoc --proto_path=src \
  --python_out=src --pyi_out=src --grpc_python_out=src "${protos[@]}"
echo "regenerated from ${#protos[@]} files"
