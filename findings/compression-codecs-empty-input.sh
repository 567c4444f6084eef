#!/usr/bin/env bash
# compression-codecs 0.4.48: `decode` of an empty piece is an error of the gzip decoder alone.
#
# Behaviour: a body that arrives in pieces may have an empty one, and a decoder whose output was full is called again
# without new input. In the middle of a stream the brotli and zstd decoders take an empty piece and report that the
# stream has not ended; the gzip decoder answers with the error "unexpected BufError".
# One would have guessed: the three decoders share one trait, and an empty piece asks for nothing.
# Source: run here; `compression_codecs::DecodeV2::decode`.
# Atoll: `host/rules/src/coding/decoder.rs` flushes the gzip decoder instead.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
compression-codecs = { version = "=0.4.48", default-features = false, features = ["brotli", "gzip", "zstd"] }
TOML
cat >src/main.rs <<'RUST'
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{BrotliDecoder, BrotliEncoder, DecodeV2, EncodeV2, GzipDecoder, GzipEncoder};
use compression_codecs::{ZstdDecoder, ZstdEncoder, brotli::params::EncoderParams, core::Level};

/// Whether a decoder that has read half of the encoded text takes an empty piece.
fn takes(name: &str, encoder: &mut dyn EncodeV2, decoder: &mut dyn DecodeV2) -> bool {
    let (mut encoded, mut decoded) = (vec![0_u8; 4096], vec![0_u8; 4096]);
    let text: Vec<u8> = (0..1000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).take(600).collect();
    let mut out = WriteBuffer::new_initialized(&mut encoded);
    encoder.encode(&mut PartialBuffer::new(&text[..]), &mut out).unwrap();
    while !encoder.finish(&mut out).unwrap() {}
    let length = out.written_len();
    let mut out = WriteBuffer::new_initialized(&mut decoded);
    let mut half = PartialBuffer::new(&encoded[..length / 2]);
    decoder.decode(&mut half, &mut out).unwrap();
    assert!(half.unwritten().is_empty(), "{name} has read all of the piece");
    let taken = decoder.decode(&mut PartialBuffer::new(&[][..]), &mut out);
    println!("{name}: {taken:?}");
    taken.is_ok()
}

fn main() {
    let gzip = takes("gzip", &mut GzipEncoder::new(Level::Precise(4).into()), &mut GzipDecoder::new());
    let brotli = takes("brotli", &mut BrotliEncoder::new(EncoderParams::default()), &mut BrotliDecoder::new());
    let zstd = takes("zstd", &mut ZstdEncoder::new(3), &mut ZstdDecoder::new());
    assert_eq!([gzip, brotli, zstd], [false, true, true], "the behaviour has changed");
}
RUST
cargo run --quiet
