#!/usr/bin/env bash
# componentize-qjs 0.4.5: no component that imports `wasi:http` 0.2 can be made, though all else of WASI 0.2 can.
#
# Behaviour: for a world that imports `wasi:http/types@0.2.12` the build ends with "mismatched resource types". It is said
# where the tool runs the component once, to save its memory.
# One would have guessed: that it is built, as one is that imports `wasi:io/streams@0.2.12` (its README has such), and as
# one of `wasi:http` 0.3 is; and that a build links no more than the module's start needs.
# Source: run here, with the WIT of WASI that jco 1.35.0 brings along.
# Atoll: `atoll new --http` in JavaScript and TypeScript speaks `wasi:http` 0.3; docs/languages.md.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{ "private": true, "dependencies": { "componentize-qjs": "0.4.5", "@bytecodealliance/jco": "1.35.0" } }' >package.json
npm install --silent --no-audit --no-fund
mkdir wit
cp -r node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12 wit/deps
echo 'export function run() {}' >run.js
build() {
    echo "package finding:face; world face { import $1; export run: func(); }" >wit/world.wit
    npx componentize-qjs --wit wit --js run.js --output face.wasm >said 2>&1
}
build wasi:io/streams@0.2.12
if build wasi:http/types@0.2.12; then
    echo "it is built now"
    exit 1
fi
grep 'mismatched resource types' said
