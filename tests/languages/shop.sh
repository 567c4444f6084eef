#!/bin/sh
# Builds the shop of examples/languages by the tools of its languages, and fills the cache of the tests with its
# compiled code: the largest of its components takes the host longer than a test waits. `just languages-shop`.
#
#   tests/languages/shop.sh ATOLL
set -eu

atoll=$(realpath "$1")
cd "$(dirname "$0")/../.."
cache=$PWD/target/test-cache
mkdir -p "$cache" && chmod 700 "$cache"
cd examples/languages
"$atoll" build
manifest=.compiled.toml # beside the other, whose paths it has
trap 'rm -f "$manifest"' EXIT
{ cat atoll.toml && printf '\n[runtime]\ncache = "%s"\n' "$cache"; } >"$manifest"
"$atoll" check "$manifest"
