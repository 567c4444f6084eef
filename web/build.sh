#!/usr/bin/env bash
# Builds the dashboard from `src/` into `dist/`, with the pinned tools of package-lock.json: `./just dashboard`.
#
# `dist/` is committed, so that `cargo build` needs no Node. `dist/sources.sha256` says what it was built from, and a
# test of the host fails when a source has changed since.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

command -v npm >/dev/null || {
    echo "dashboard: npm is missing; Node 20.19 or newer builds the dashboard: https://nodejs.org" >&2
    exit 1
}
npm ci --no-audit --no-fund --silent
npm run --silent build
find src public index.html package.json package-lock.json tsconfig.json vite.config.ts -type f | LC_ALL=C sort |
    xargs sha256sum >dist/sources.sha256
