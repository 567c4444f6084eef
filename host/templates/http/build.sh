#!/bin/sh
# Makes {{name}}.wasm. `atoll build` runs this in its folder, and says by ATOLL which program it is itself.
set -eu
"${ATOLL:-atoll}" wit view --tool componentize-py --out target/wit
.venv/bin/componentize-py -q -d target/wit -w service componentize service -o {{name}}.wasm
