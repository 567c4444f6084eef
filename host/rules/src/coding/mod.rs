//! Floor 2: the codings of contents (RFC 9110, section 8.4): `br`, `zstd` and `gzip`.
//!
//! Owns the [`ContentCoding`]s, which of them a client takes ([`AcceptEncoding`]), what is worth compressing
//! (`compressible.rs`), and the [`Encoder`] and [`Decoder`] that change bytes piece by piece. What always holds: a step
//! of a decoder makes no more bytes than its caller has room for, however small its input is; what an encoder was
//! given before a flush can be decoded from what it has made until then. Never: it waits, or knows a request.
//!
//! Tests: beside the files; `tests.rs` sends random texts in random pieces through all codings and back.

mod accept_encoding;
mod compressible;
mod content_coding;
mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use accept_encoding::AcceptEncoding;
pub use compressible::is_compressible;
pub use content_coding::ContentCoding;
pub use decoder::{Decoder, DecodingError};
pub use encoder::{Encoder, EncodingError};
