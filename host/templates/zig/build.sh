#!/bin/sh
# Makes {{name}}.wasm. `atoll build` runs this in its folder, and says by ATOLL which program it is itself.
set -eu
atoll=${ATOLL:-atoll}
bindings=target/bindings
"$atoll" wit bindings --lang c --world service --out $bindings

# ReleaseSafe: a number that does not fit, and an index beyond the end, panic.
.venv/bin/python -m ziglang build-exe -target wasm32-wasi -mexec-model=reactor -O ReleaseSafe -fstrip -lc \
    -I $bindings service.zig $bindings/service.c $bindings/service_component_type.o -femit-bin=target/core.wasm
"$atoll" wit component target/core.wasm --world service --output {{name}}.wasm
