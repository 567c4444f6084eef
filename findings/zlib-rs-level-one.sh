#!/usr/bin/env bash
# zlib-rs 0.6.8: level 1 makes more bytes than zlib's level 1, and level 2 fewer.
#
# Behaviour: with flate2 1.1.11 on zlib-rs, `Compression::fast()` (level 1) makes about a quarter more bytes of a text
# than zlib 1.2.13 by its level 1. Level 2 makes fewer bytes than that, and a third fewer than its own level 1.
# One would have guessed: that the levels of one interface mean about the same, so that 1 in place of 1 changes the
# speed alone. Who moves a proxy from zlib's level 1 (the default of nginx) to this library by its number sends more.
# Source: run here; `CONFIGURATION_TABLE` in `zlib-rs/src/deflate/algorithm/mod.rs`: level 1 is the method `quick`,
# which looks at one candidate for a match and has no dynamic Huffman codes. The method is zlib-ng's.
# Atoll: compresses answers by level 2; `docs/performance-log.md` has times and sizes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 - <<'PY'
lines = (f"line {number * 7919 % 10007} of a text that is served; " for number in range(1400))
open("text", "w").write("".join(lines)[: 64 * 1024])
PY
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
flate2 = { version = "=1.1.11", default-features = false, features = ["zlib-rs"] }
zlib-rs = "=0.6.8"
TOML
cat >src/main.rs <<'RUST'
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;

fn main() {
    let text = std::fs::read("text").unwrap();
    for level in [1, 2, 6] {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(&text).unwrap();
        println!("{level} {}", encoder.finish().unwrap().len());
    }
}
RUST
cargo run --quiet >sizes
python3 - <<'PY'
import zlib

ours = {int(level): int(size) for level, size in (line.split() for line in open("sizes"))}
text = open("text", "rb").read()
theirs = {}
for level in (1, 2, 6):
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15)
    theirs[level] = len(encoder.compress(text) + encoder.flush())
for level in (1, 2, 6):
    print(f"level {level}: zlib {zlib.ZLIB_RUNTIME_VERSION}: {theirs[level]} bytes, zlib-rs: {ours[level]}")
assert ours[1] > 1.15 * theirs[1], "zlib-rs' level 1 is no longer much longer than zlib's"
assert ours[2] < theirs[1], "zlib-rs' level 2 is no longer shorter than zlib's level 1"
PY
