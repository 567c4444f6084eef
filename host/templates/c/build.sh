#!/bin/sh
# Makes {{name}}.wasm. `atoll build` runs this in its folder, and says by ATOLL which program it is itself.
set -eu
atoll=${ATOLL:-atoll}
bindings=target/bindings
"$atoll" wit bindings --lang c --world service --out $bindings

cc() { .venv/bin/python -m ziglang cc --target=wasm32-wasi -mexec-model=reactor -Os -D_GNU_SOURCE -I $bindings "$@"; }
# C makes numbers narrower without a word: here that is an error, and an overflow of a signed number traps.
cc -Wall -Wextra -Wconversion -Werror -fsanitize=undefined -fsanitize-trap=undefined -c service.c -o target/service.o
cc -w $bindings/service.c $bindings/service_component_type.o target/service.o -o target/core.wasm
"$atoll" wit component target/core.wasm --world service --output {{name}}.wasm
