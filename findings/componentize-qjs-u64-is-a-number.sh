#!/usr/bin/env bash
# componentize-qjs 0.4.5: a `u64` of a contract comes into JavaScript as a number, and loses its last digits in silence.
#
# Behaviour: a function that takes a `u64` gets 9007199254740993 as the number 9007199254740992, and one that returns
# what it got gives back the wrong one. No error, at the build or at the call.
# One would have guessed: a BigInt, as the canonical mapping of WIT to JavaScript has it (jco, and componentize-js with
# StarlingMonkey, do so), or a trap for what a number cannot hold.
# Source: run here, on Wasmtime's Python package 50.0.1.
# Atoll: `atoll wit view --tool componentize-qjs`, by which the templates build, refuses contracts with 64-bit integers;
# docs/languages.md.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{ "private": true, "type": "module", "dependencies": { "componentize-qjs": "0.4.5" } }' >package.json
npm install --silent --no-audit --no-fund
python3 -m venv python
python/bin/pip install --quiet wasmtime==50.0.1
mkdir wit
cat >wit/world.wit <<'WIT'
package finding:numbers;
world numbers {
    export tell: func(value: u64) -> string;
    export same: func(value: u64) -> u64;
}
WIT
cat >numbers.js <<'JS'
export function tell(value) { return `${typeof value} ${value}`; }
export function same(value) { return value; }
JS
npx componentize-qjs --wit wit --js numbers.js --output numbers.wasm >/dev/null
cat >run.py <<'PYTHON'
from wasmtime import Config, Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

config = Config()
config.wasm_component_model_async = True
engine = Engine(config)
store = Store(engine)
store.set_wasi(WasiConfig())
linker = Linker(engine)
linker.add_wasip2()
instance = linker.instantiate(store, Component.from_file(engine, "numbers.wasm"))


def call(name):
    function = instance.get_func(store, name)
    result = function(store, 9007199254740993)
    function.post_return(store)
    return result


told, back = call("tell"), call("same")
print(told, back)
assert told == "number 9007199254740992", told
assert back == 9007199254740992, back
PYTHON
python/bin/python run.py
