#!/usr/bin/env bash
# Builds the fuzz targets and runs them: `fuzz/run.sh [TARGET|all|shared [SECONDS]]`; `./just fuzz` is the same.
# With `all` each target has so many seconds, with `shared` all of them together: more targets then take no longer.
#
# libFuzzer keeps the inputs that reached new code in `target/fuzz/TARGET`, and starts from them the next time. The
# input of a crash is in `target/fuzz/TARGET.crashes`; `target/debug/fuzz-TARGET FILE` runs it again. At first a target
# starts from what the project has: manifests, components, and what is in `fuzz/seeds`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

# `component` runs by its name alone: it stops at a fault of `wit_parser` 0.262. It joins `all` when that is mended.
readonly targets=(manifest arguments route token coding files cache range forwarded http2-head dns)
readonly built=${CARGO_TARGET_DIR:-target}
readonly slowest=10 # seconds for one input; all of them take milliseconds
readonly memory=1024 # MiB of address space: more fails at the very input that asks for it

target=${1:-all}
seconds=${2:-60}
if [[ $target == shared ]]; then
    target=all
    seconds=$((seconds / ${#targets[@]}))
fi
if [[ $target != all && " ${targets[*]} component " != *" $target "* ]]; then
    echo "fuzz: no target '$target': ${targets[*]} component" >&2
    exit 2
fi

seeds() {
    case $1 in
        manifest) find atoll.toml bench host/src/config tests -name '*.toml' ! -name Cargo.toml -size -16k ;;
        component) find components/dist -name '*.wasm' -size -150k ;;
        *) find "fuzz/seeds/$1" -type f ;;
    esac
}

fuzz() {
    local corpus=target/fuzz/$1 file
    mkdir -p "$corpus" "$corpus.crashes"
    while IFS= read -r file; do cp -- "$file" "$corpus/seed-$(tr / - <<<"$file")"; done < <(seeds "$1")
    echo "fuzz: $1 for $seconds s"
    if ! (
        ulimit -v $((memory * 1024))
        exec "$built/debug/fuzz-$1" "$corpus" -max_total_time="$seconds" -timeout="$slowest" -rss_limit_mb=0 \
            -artifact_prefix="$corpus.crashes/" -print_final_stats=1 >"$corpus.log" 2>&1
    ); then
        tail -n 60 "$corpus.log" >&2
        echo "fuzz: $1 failed; the input is in $corpus.crashes/" >&2
        return 1
    fi
    grep -E '^stat::number_of_executed_units|^stat::average_exec_per_sec|^INFO: Loaded' "$corpus.log" || true
    # Without the flags of `fuzz/rustc` it would run, and learn nothing.
    grep -q 'inline 8-bit counters' "$corpus.log" || { echo "fuzz: $1 is not instrumented" >&2; return 1; }
}

# Together with `servers`, so that the dependencies are those that the tests have built.
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/rustc ${CARGO:-cargo} build --quiet -p fuzz -p servers --bin 'fuzz-*'
if [[ $target == all ]]; then
    for each in "${targets[@]}"; do fuzz "$each"; done
else
    fuzz "$target"
fi
