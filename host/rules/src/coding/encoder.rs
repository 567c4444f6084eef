//! Compresses bytes piece by piece.

use super::content_coding::ContentCoding;
use compression_codecs::EncodeV2;
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use std::fmt;
use std::io;

/// Brotli's quality. Google's own servers take 4 to 5 for answers that are made on demand; 11, the default, takes a
/// hundred times as long.
const BROTLI: i32 = 4;
/// Brotli's window, as a power of two: 512 KiB, as nginx' module has it. The default of 4 MiB is memory for each answer
/// that is being sent.
const BROTLI_WINDOW: i32 = 19;
/// Zstandard's own default.
const ZSTD: i32 = 3;
/// Its window, as a power of two: 512 KiB, for the same reason. RFC 9659 permits 8 MiB.
const ZSTD_WINDOW: u32 = 19;
/// gzip's level. zlib-rs makes 5 to 9 % fewer bytes by it than zlib by its level 1, which is nginx' default, and takes
/// two thirds of the time of its level 4, which makes another 5 % fewer (see the log of performance).
const GZIP: i32 = 2;

/// The room for the output of one step.
const STEP: usize = 16 << 10;

/// Compresses bytes piece by piece, with 0.3 (gzip) to 2 MiB (the others) of memory.
pub struct Encoder(Box<dyn EncodeV2 + Send>);

/// The encoder failed. It has no reason to, whatever it is given.
#[derive(Debug, thiserror::Error)]
#[error("the encoder failed: {0}")]
pub struct EncodingError(#[from] io::Error);

impl Encoder {
    /// An encoder at its beginning.
    pub fn new(coding: ContentCoding) -> Self {
        Self(match coding {
            ContentCoding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(BROTLI)).window_size(BROTLI_WINDOW);
                Box::new(BrotliEncoder::new(params))
            }
            ContentCoding::Zstd => Box::new(ZstdEncoder::new_with_params(ZSTD, &[CParameter::window_log(ZSTD_WINDOW)])),
            ContentCoding::Gzip => Box::new(GzipEncoder::new(Level::Precise(GZIP).into())),
        })
    }

    /// Takes `input`, and appends what it has made to `output`. The encoder may keep the rest.
    ///
    /// # Errors
    /// [`EncodingError`].
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), EncodingError> {
        let mut input = PartialBuffer::new(input);
        while !input.unwritten().is_empty() {
            self.step(output, |encoder, room| encoder.encode(&mut input, room))?;
        }
        Ok(())
    }

    /// Appends all that it has kept, so that everything it was given can be decoded.
    ///
    /// # Errors
    /// [`EncodingError`].
    pub fn flush(&mut self, output: &mut Vec<u8>) -> Result<(), EncodingError> {
        while !self.step(output, |encoder, room| encoder.flush(room))? {}
        Ok(())
    }

    /// Appends the end. Nothing may follow.
    ///
    /// # Errors
    /// [`EncodingError`].
    pub fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), EncodingError> {
        while !self.step(output, |encoder, room| encoder.finish(room))? {}
        Ok(())
    }

    fn step<T>(
        &mut self,
        output: &mut Vec<u8>,
        step: impl FnOnce(&mut dyn EncodeV2, &mut WriteBuffer<'_>) -> io::Result<T>,
    ) -> Result<T, EncodingError> {
        let filled = output.len();
        output.resize(filled + STEP, 0);
        let mut room = WriteBuffer::new_initialized(&mut output[filled..]);
        let outcome = step(&mut *self.0, &mut room);
        let made = room.written_len();
        output.truncate(filled + made);
        Ok(outcome?)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}
