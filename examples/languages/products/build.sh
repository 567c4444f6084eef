#!/bin/sh
# Makes products.wasm. `atoll build` runs this in its folder, and says by ATOLL which program it is itself. The tools
# are those of package-lock.json, by their digests.
set -eu
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund
wit=../../../wit
"${ATOLL:-atoll}" wit view --tool componentize-js --wit $wit/users --wit $wit/products \
    --wit $wit/reviews --wit wit --world service --out target/wit
npm run --silent component
