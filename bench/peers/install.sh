#!/usr/bin/env bash
# Installs the programs that `./just bench` compares with: pinned versions, into `.tools/`; wrk and nginx are Debian's.
#
# Safe to run again: what is there in its version stays. What cannot be installed is said here and shown as missing in the tables; the exit
# status is 0 all the same. The first run takes some minutes, nearly all of them for Wasmtime's program.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly wasmtime=48.0.8 # as the host's; with thin LTO, since fat takes twice as long: the tables say so
readonly workerd=1.20261117.1
readonly here=$PWD/bench/peers
readonly tools=$PWD/.tools

# Packages that have the commands, where one of them is absent.
install_debian() {
    local command missing=()
    for command in wrk nginx; do
        command -v "$command" >/dev/null || [[ -x /usr/sbin/$command ]] || missing+=("$command")
    done
    ((${#missing[@]})) || return 0
    echo "bench: installing ${missing[*]}" >&2
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_wasmtime() {
    [[ $("$tools/bin/wasmtime" --version 2>/dev/null) == "wasmtime $wasmtime"* ]] && return
    echo "bench: building wasmtime-cli into .tools/ (once, some minutes)" >&2
    # What `serve` needs and nothing more.
    CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=4 cargo install --quiet wasmtime-cli --version "$wasmtime" \
        --locked --no-default-features --features run,serve,cranelift,pooling-allocator,parallel-compilation,component-model-async \
        --root "$tools"
}

install_workerd() {
    [[ $(cat "$tools/workerd/installed.txt" 2>/dev/null) == "$workerd" ]] && return
    echo "bench: installing workerd into .tools/" >&2
    mkdir -p "$tools/workerd"
    npm install --silent --no-save --no-audit --no-fund --prefix "$tools/workerd" "workerd@$workerd" >/dev/null &&
        "$tools/workerd/node_modules/.bin/workerd" --version >/dev/null && echo "$workerd" >"$tools/workerd/installed.txt"
}

install_flask() {
    cmp --silent "$here/flask/requirements.txt" "$tools/flask/installed.txt" && return
    echo "bench: installing Flask and gunicorn into .tools/" >&2
    rm -rf "$tools/flask"
    python3 -m venv "$tools/flask" &&
        "$tools/flask/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/flask/requirements.txt" &&
        cp "$here/flask/requirements.txt" "$tools/flask/installed.txt"
}

for peer in debian wasmtime workerd flask; do
    "install_$peer" || echo "bench: $peer cannot be installed; the comparison goes on without it" >&2
done
