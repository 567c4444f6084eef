#!/usr/bin/env bash
# etcd 3.4.23: a watch that begins at the compacted revision is not told of the deletion at that revision.
#
# Behaviour: a key is listed at revision 2 and deleted at revision 3, and the log is compacted at 3. A watch that begins
# at 3, right after the list, is created without an error, and gets nothing: neither the deletion nor "compacted".
# One would have guessed: a watch from the revision after a list tells all that has changed since, or is refused.
# Source: run here; https://github.com/etcd-io/etcd/issues/18089 (fixed in later servers).
# Atoll: `host/src/discovery/etcd.rs` ends each watch after 60 s and lists the keys anew.
set -euo pipefail
command -v etcd >/dev/null || { echo "needs etcd: apt-get install etcd-server"; exit 1; }
work=$(mktemp -d)
readonly client=http://127.0.0.1:23979 peer=http://127.0.0.1:23980
etcd --data-dir "$work" --listen-client-urls "$client" --advertise-client-urls "$client" --listen-peer-urls "$peer" \
    --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" --log-level error &>/dev/null &
readonly server=$!
trap 'kill "$server"; rm -rf "$work"' EXIT

ask() { curl --silent --show-error --max-time 3 "$client/v3/$1" --data "$2"; }
key=$(printf users/1 | base64)
until ask kv/range "{\"key\":\"$key\"}" &>/dev/null; do sleep 0.1; done
ask kv/put "{\"key\":\"$key\",\"value\":\"$key\"}" >/dev/null
ask kv/deleterange "{\"key\":\"$key\"}" >/dev/null
ask kv/compaction '{"revision":"3"}' >/dev/null
told=$(ask watch "{\"create_request\":{\"key\":\"$key\",\"start_revision\":\"3\"}}" 2>/dev/null || true)
echo "$told"
if grep -qE '"events"|"canceled"' <<<"$told"; then
    echo "as one would guess: the watch is told of the deletion, or that it is compacted"
    exit 1
fi
echo "as found: the watch is created, and is told nothing"
