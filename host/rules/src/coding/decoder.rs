//! Decompresses bytes piece by piece, never more at a time than there is room for.

use super::content_coding::ContentCoding;
use compression_codecs::DecodeV2;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use std::fmt;

/// The largest window of Zstandard, as a power of two: 8 MiB (RFC 9659, section 3). A frame that needs more is refused:
/// the window is memory.
const ZSTD_WINDOW: u32 = 23;

/// Decompresses bytes piece by piece. What it needs for itself is at most 16 MiB for Brotli (its largest window), 8 MiB
/// for Zstandard and 64 KiB for gzip.
pub struct Decoder {
    decoder: Box<dyn DecodeV2 + Send>,
    coding: ContentCoding,
    /// Whether the member that was begun last is complete; true before the first byte.
    ended: bool,
    begun: bool,
}

/// The bytes are not of the coding, or end too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content is not {0}, or incomplete")]
pub struct DecodingError(&'static str);

impl Decoder {
    /// A decoder at its beginning.
    pub fn new(coding: ContentCoding) -> Self {
        let decoder: Box<dyn DecodeV2 + Send> = match coding {
            ContentCoding::Brotli => Box::new(BrotliDecoder::new()),
            ContentCoding::Zstd => Box::new(ZstdDecoder::new_with_params(&[DParameter::window_log_max(ZSTD_WINDOW)])),
            ContentCoding::Gzip => Box::new(GzipDecoder::new()),
        };
        Self { decoder, coding, ended: true, begun: false }
    }

    /// Decodes some of `input` into `room`, which has at least a byte. Returns how many bytes it has read and written.
    /// Call it again as long as it has filled the room or not read all.
    ///
    /// gzip and Zstandard may have several members, one after the other (RFC 1952, section 2.2; RFC 8878, section 3.1).
    ///
    /// # Errors
    /// [`DecodingError`]; also for bytes after the end of Brotli, which has no members.
    pub fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<(usize, usize), DecodingError> {
        if self.ended && self.begun {
            if input.is_empty() {
                return Ok((0, 0));
            }
            if self.coding == ContentCoding::Brotli {
                return Err(self.error());
            }
            self.decoder.reinit().map_err(|_| self.error())?;
            self.ended = false;
        }
        if !input.is_empty() {
            (self.begun, self.ended) = (true, false);
        }
        if !self.begun {
            return Ok((0, 0));
        }
        let mut output = WriteBuffer::new_initialized(room);
        if input.is_empty() && self.coding == ContentCoding::Gzip {
            // With `decode` it would be an error if nothing is left that it has kept.
            self.decoder.flush(&mut output).map_err(|_| self.error())?;
            return Ok((0, output.written_len()));
        }
        let mut input = PartialBuffer::new(input);
        self.ended = self.decoder.decode(&mut input, &mut output).map_err(|_| self.error())?;
        Ok((input.written_len(), output.written_len()))
    }

    /// Whether the bytes so far are whole members. No byte at all is none, and whole.
    pub fn is_whole(&self) -> bool {
        self.ended
    }

    /// The error of contents that are cut off or broken.
    pub fn error(&self) -> DecodingError {
        DecodingError(self.coding.as_str())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("coding", &self.coding).field("ended", &self.ended).finish()
    }
}
