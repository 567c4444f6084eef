#!/usr/bin/env bash
# componentize-js 0.23.0: it imports `commander` and `preview2-shim`, and its package.json names neither.
#
# Behaviour: it runs where npm happens to lay the packages of its dependency jco beside it. Where each package sees only
# what it names (`--install-strategy=nested`, and pnpm by default) its command ends with "Cannot find package".
# One would have guessed: that a pinned version of a tool finds what it needs in every layout of an install.
# Source: run here.
# Atoll: the templates and `examples/languages` name `preview2-shim` themselves, pinned, and install by npm's own layout;
# docs/languages.md.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir wit
echo 'package finding:hello; world hello { export greet: func() -> string; }' >wit/world.wit
echo 'export function greet() { return "hello"; }' >hello.js
build() {
    rm -rf node_modules package-lock.json
    echo '{ "private": true, "dependencies": { "@bytecodealliance/componentize-js": "0.23.0" } }' >package.json
    npm install --silent --no-audit --no-fund "$@"
    node_modules/.bin/componentize-js hello.js --wit wit --world-name hello --out hello.wasm >said 2>&1
}
build
if build --install-strategy=nested; then
    echo "it finds its packages now"
    exit 1
fi
grep "Cannot find package 'commander'" said
node -e '
    const { dependencies } = require("./node_modules/@bytecodealliance/componentize-js/package.json");
    console.log("declared:", Object.keys(dependencies).join(", "));
    if (Object.keys(dependencies).some((name) => /commander|preview2-shim/.test(name))) process.exit(1);
'
