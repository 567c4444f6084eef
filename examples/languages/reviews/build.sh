#!/bin/sh
# Makes reviews.wasm. `atoll build` runs this in its folder, and says by ATOLL which program it is itself. The tools are
# those of requirements.txt, by their digests.
set -eu
if [ ! .venv/bin/componentize-py -nt requirements.txt ]; then
    python3 -m venv .venv && .venv/bin/pip install -q --require-hashes -r requirements.txt
fi
wit=../../../wit
"${ATOLL:-atoll}" wit view --tool componentize-py --wit $wit/users --wit $wit/products \
    --wit $wit/reviews --world service --out target/wit
.venv/bin/componentize-py -q -d target/wit -w service componentize service -o reviews.wasm
