#!/usr/bin/env bash
# Starts a host with a certificate of its own and lets testssl.sh look at it: `./just conformance-tls [OPTION…]`.
#
# testssl.sh is a package of Debian (`apt-get install testssl.sh`). Options are its own; without any it looks at
# protocols, suites, server defaults and vulnerabilities. The run fails if a finding is of severity HIGH or CRITICAL,
# except those that a certificate of an authority that nobody knows cannot but have, and one that is meant: of suites
# that are all strong, the client's favourite is taken, so that a phone without AES in hardware gets ChaCha20.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly start_deadline=60 # seconds; a start takes one or two
# Trust, revocation and transparency: findings about the public authority that signed a certificate.
readonly of_authorities='cert_chain_of_trust|cert_revocation|cert_trust|DNS_CAArecord|overall_grade'
readonly meant='cipher_order'

work=$(mktemp -d)
host=""

clean_up() {
    if [[ -n $host ]]; then kill -KILL "$host" && wait "$host"; fi 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'conformance-tls: %s\n' "$*" >&2
    if [[ -s $work/err ]]; then sed 's/^/  err: /' "$work/err" | tail -n 40 >&2; fi
    exit 1
}

testssl=$(command -v testssl || command -v testssl.sh) || fail "testssl.sh is missing: apt-get install testssl.sh"
printf '[gateway.tls]\nself_signed = true\nhsts = "180d"\n' >"$work/atoll.toml"
./just --quiet profile=dev host --quiet
ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 ATOLL_TLS_LISTEN=127.0.0.1:0 \
    "${CARGO_TARGET_DIR:-target}/debug/atoll" run "$work/atoll.toml" >"$work/out" 2>"$work/err" &
host=$!
deadline=$((SECONDS + start_deadline))
until address=$(sed -n 's|^gateway listening on https://||p' "$work/out") && [[ -n $address ]]; do
    kill -0 "$host" 2>/dev/null || fail "the host ended before it listened"
    ((SECONDS < deadline)) || fail "the host did not listen within $start_deadline s"
    sleep 0.1
done

options=("$@")
if [[ ${#options[@]} -eq 0 ]]; then
    options=(--protocols --server-defaults --std --fs --server-preference --headers --vulnerable)
fi
# Its own exit status counts findings of every severity.
"$testssl" --quiet --color 0 --warnings batch --nodns none --add-ca "$work/.atoll/tls/authority.pem" \
    --csvfile "$work/findings.csv" "${options[@]}" "https://${address/127.0.0.1/localhost}" || true
[[ -s $work/findings.csv ]] || fail "testssl.sh has found nothing at all"
bad=$(grep -E '"(HIGH|CRITICAL)"' "$work/findings.csv" | grep -Ev "\"($of_authorities|$meant)" || true)
if [[ -n $bad ]]; then
    printf '%s\n' "$bad" >&2
    fail "findings of severity HIGH or CRITICAL"
fi
echo "conformance-tls: no finding of severity HIGH or CRITICAL"
