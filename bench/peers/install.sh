#!/usr/bin/env bash
# Installs the programs that `./just bench` compares with, in pinned versions, into `.tools/`. wrk and nginx come from
# Debian.
#
#   bench/peers/install.sh [debian] [wasmtime] [workerd] [flask] [sagas] [rpc]
#
# Without a name it installs all that `./just bench` needs by itself: the first four. `sagas` is Temporal and DBOS, for
# `./just bench events sagas`; `rpc` are native callers and servers, for `./just bench cluster`.
#
# It is safe to run this script again: installed programs of the right version stay. What cannot be installed is
# printed here and shown as missing in the tables, and the exit status is still 0. The first run takes some minutes,
# most of them for building wasmtime-cli.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly wasmtime=48.0.8 # as in the host; thin LTO, because fat takes twice as long to build: the tables say so
readonly workerd=1.20261117.1
readonly here=$PWD/bench/peers
readonly tools=$PWD/.tools

# Installs the Debian packages of missing commands.
install_debian() {
    local command missing=()
    for command in wrk nginx; do
        command -v "$command" >/dev/null || [[ -x /usr/sbin/$command ]] || missing+=("$command")
    done
    ((${#missing[@]})) || return 0
    echo "bench: installing ${missing[*]}" >&2
    apt-get update -qq >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_wasmtime() {
    [[ $("$tools/bin/wasmtime" --version 2>/dev/null) == "wasmtime $wasmtime"* ]] && return
    echo "bench: building wasmtime-cli into .tools/ (once, some minutes)" >&2
    # Only the features that `serve` needs.
    local features=run,serve,cranelift,pooling-allocator,parallel-compilation,component-model-async
    CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=4 cargo install --quiet wasmtime-cli \
        --version "$wasmtime" --locked --no-default-features --features "$features" --root "$tools"
}

install_workerd() {
    [[ $(cat "$tools/workerd/installed.txt" 2>/dev/null) == "$workerd" ]] && return
    echo "bench: installing workerd into .tools/" >&2
    mkdir -p "$tools/workerd"
    npm install --silent --no-save --no-audit --no-fund --prefix "$tools/workerd" "workerd@$workerd" >/dev/null &&
        "$tools/workerd/node_modules/.bin/workerd" --version >/dev/null &&
        echo "$workerd" >"$tools/workerd/installed.txt"
}

install_flask() {
    cmp --silent "$here/flask/requirements.txt" "$tools/flask/installed.txt" && return
    echo "bench: installing Flask and gunicorn into .tools/" >&2
    rm -rf "$tools/flask"
    python3 -m venv "$tools/flask" &&
        "$tools/flask/bin/pip" install --quiet --disable-pip-version-check \
            --requirement "$here/flask/requirements.txt" &&
        cp "$here/flask/requirements.txt" "$tools/flask/installed.txt"
}

# With hashes, as the tools of the tests.
install_sagas() {
    cmp --silent "$here/sagas/requirements.txt" "$tools/sagas/installed.txt" && return
    echo "bench: installing Temporal and DBOS into .tools/ (once)" >&2
    rm -rf "$tools/sagas"
    python3 -m venv "$tools/sagas" &&
        "$tools/sagas/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
            --requirement "$here/sagas/requirements.txt" &&
        cp "$here/sagas/requirements.txt" "$tools/sagas/installed.txt"
}

# From this checkout, so it is looked at each time; that takes a second if nothing has changed.
install_rpc() {
    CARGO_TARGET_DIR="$tools/rpc" cargo install --quiet --force --locked --path "$here/rpc" --root "$tools"
}

(($#)) || set -- debian wasmtime workerd flask
for peer; do
    "install_$peer" || echo "bench: $peer cannot be installed; the comparison goes on without it" >&2
done
