# Starts the example shop from the dev profile for a recipe that tries something real against it. Sourced, not run.
#
#   source tests/running_shop.sh NAME     NAME: the recipe, for its errors
#   start_shop [MANIFEST]                 sets `gateway` and `admin`, the addresses
#
# `work` is a temporary folder. At the end of the recipe it goes, and so does every process in `running`.

readonly recipe=$1
readonly start_deadline=60 # seconds; a start takes one or two

work=$(mktemp -d)
running=()

clean_up() {
    for process in "${running[@]}"; do kill -KILL "$process" && wait "$process"; done 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Says why, with the end of each log in `work`, and ends the recipe.
fail() {
    printf '%s: %s\n' "$recipe" "$*" >&2
    for log in "$work"/*.log; do
        if [[ -s $log ]]; then tail -n 40 "$log" | sed "s/^/  $(basename "$log"): /" >&2; fi
    done
    exit 1
}

# The address on which the edge of this name listens; empty until it listens.
address_of() { sed -n "s|^$1 listening on \(http:[^[:space:];]*[^/[:space:];]\).*\$|\1|p" "$work/out"; }

start_shop() {
    : >"$work/out"
    ./just --quiet profile=dev host --quiet
    ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 ATOLL_STATE_PATH="$work/state.redb" \
        ATOLL_LOG=access=off,info \
        "${CARGO_TARGET_DIR:-target}/debug/atoll" run "${1:-atoll.toml}" >"$work/out" 2>"$work/host.log" &
    local host=$!
    running+=("$host")
    local deadline=$((SECONDS + start_deadline))
    until gateway=$(address_of gateway) && admin=$(address_of admin) && [[ -n $gateway && -n $admin ]]; do
        kill -0 "$host" 2>/dev/null || fail "the host ended before it listened"
        ((SECONDS < deadline)) || fail "the host did not listen within $start_deadline s"
        sleep 0.1
    done
}
