#!/bin/sh
# Makes {{name}}.wasm. `atoll build` runs this in its folder, and says by ATOLL which program it is itself.
set -eu
atoll=${ATOLL:-atoll}
"$atoll" wit bindings --lang go --world service --out .
mkdir -p target
# The Go of requirements.txt, and no other one that it would fetch.
GOTOOLCHAIN=local GOOS=wasip1 GOARCH=wasm .venv/bin/go build -buildmode=c-shared -ldflags=-s -o target/core.wasm .
"$atoll" wit component target/core.wasm --world service --output {{name}}.wasm
