#!/usr/bin/env bash
# Drives the dashboard of the running shop in a real browser: `./just dashboard-test [FOLDER]`.
#
# Needs Node and Chromium (Debian's package `chromium`, or the path in CHROMIUM). Screenshots of every page at 400 and
# 1440 pixels, light and dark, are left in FOLDER, by default `target/dashboard`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

pictures=${1:-$PWD/target/dashboard}
source tests/running_shop.sh dashboard-test

readonly here=$PWD/tests/dashboard

browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[[ -n $browser ]] || fail "Chromium is missing: install the package chromium, or name it in CHROMIUM"
command -v npm >/dev/null || fail "npm is missing: install Node 20 or newer"
npm ci --prefix "$here" --no-audit --no-fund --silent

# The shop, with what the pages show: an audit file, a history, traces, schedules, and mails that are soon given up.
sed -e "s|\"components/dist|\"$PWD/components/dist|; s|wit = \"wit|wit = \"$PWD/wit|" \
    -e 's|call = "mailer/confirm"|call = "mailer/confirm", tries = 2, backoff = "10ms"|' atoll.toml >"$work/atoll.toml"
sed "s|WORK|$work|" "$here/more.toml" >>"$work/atoll.toml"
start_shop "$work/atoll.toml"

mkdir -p "$pictures"
BROWSER=$browser GATEWAY=$gateway ADMIN=$admin PICTURES=$pictures COMPONENT=$PWD/components/dist/users.wasm \
    node "$here/dashboard.mjs" || fail "the page is not as it should be"
echo "dashboard-test: all well; screenshots in $pictures"
