#!/bin/sh
# Builds `components/dist/NAME.wasm` for each package NAME, here and in `fixtures/`, that is a component and not a
# library. `just build-components` calls this script, and the host's tests call it when a component is missing.
#
#   components/build.sh                       build all, then publish into dist/
#   components/build.sh --packages [FOLDER…]  print the packages, libraries too, as arguments for cargo:
#                                             `-p products -p users …`
#
# Two runs at the same time are safe, also beside a running host: cargo locks its target folder, and a file in dist/
# is replaced as a whole.
set -eu

cd "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)"

target=wasm32-wasip2

packages() {
    for manifest in $(printf '%s/*/Cargo.toml ' "$@"); do
        [ -f "$manifest" ] || continue # a pattern without a match stays as it is
        sed -n 's/^name *= *"\([^"]*\)".*/-p \1/p' "$manifest" | head -n 1
    done | tr '\n' ' '
}

# A file that did not change keeps its time stamp, so that nothing is recompiled or reloaded without need.
publish() {
    if cmp -s "$1" "$2"; then
        return
    fi
    cp -- "$1" "$2.$$.tmp"
    mv -f -- "$2.$$.tmp" "$2"
    echo "built $2" >&2
}

if [ "${1:-}" = --packages ]; then
    shift
    [ $# -gt 0 ] || set -- components components/fixtures
    packages "$@"
    exit
fi

selection=$(packages components components/fixtures)
if [ -z "$selection" ]; then
    echo "components/build.sh: no package in components/ or components/fixtures/" >&2
    exit 1
fi

# If rustup's automatic install is off, cargo would fail because the target is missing. This costs nothing if it is
# there.
if command -v rustup >/dev/null; then
    rustup --quiet target add "$target"
fi

# Flags for the host (coverage, sanitizers, target-cpu) do not fit WebAssembly.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

mkdir -p components/dist
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT

# Cargo itself reports where it wrote each file, so any target folder works (CARGO_TARGET_DIR, build.target-dir,
# --config).
cargo build --profile component --target "$target" $selection --message-format json-render-diagnostics >"$messages"

sed -n '/"reason":"compiler-artifact"/s/.*"filenames":\[[^]]*"\([^"]*\.wasm\)".*/\1/p' "$messages" |
    while IFS= read -r file; do
        name=$(basename "$file" .wasm | tr _ -) # cargo names a library's file with underscores
        publish "$file" "components/dist/$name.wasm"
    done
