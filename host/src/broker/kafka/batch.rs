//! A batch of a log, as it comes in the one format that servers of the Kafka protocol have had since 2017 (`magic` 2):
//! where it begins and ends, whether its bytes are those that were written, and its records without their compression.

use super::wire::WireReader;
use crate::broker::error::BrokerError;
use std::borrow::Cow;
use std::io::Read;

/// The format, which is called `magic`.
const FORMAT: u8 = 2;
/// Bits of a batch's attributes.
const CODEC: i16 = 0b111;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;
pub(super) const GZIP: i16 = 1;
/// The names of the compressions, by their numbers.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// What one compressed batch may have without its compression, in bytes.
const LONGEST_PLAIN: u64 = 32 << 20;

/// The bytes of one batch behind its length, before it was looked at.
pub(super) struct BatchFrame<'a> {
    /// `None`: nobody can tell where it begins or ends.
    pub(super) first: Option<u64>,
    body: &'a [u8],
    pub(super) rest: &'a [u8],
}

impl<'a> BatchFrame<'a> {
    /// The first batch of these bytes; `None` if they have no whole one.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = WireReader::new(bytes);
        let (first, length) = (reader.i64().ok()?, reader.i32().ok()?);
        let (Ok(first), Ok(length)) = (u64::try_from(first), usize::try_from(length)) else {
            return Some(Self { first: None, body: &[], rest: &[] });
        };
        let body = reader.take(length).ok()?;
        Some(Self { first: Some(first), body, rest: reader.rest() })
    }

    /// The name of its compression, as its attributes tell it.
    pub(super) fn codec(&self) -> &'static str {
        CODECS.get((self.attributes() & CODEC).unsigned_abs() as usize).unwrap_or(&"unknown")
    }

    fn attributes(&self) -> i16 {
        self.body.get(10).map_or(0, |low| i16::from(*low))
    }

    /// Where a batch ends whose bytes nobody can trust, of which `from` is the first offset that is not read; and
    /// whether what follows here is the next batch, which is there if that is whole. Else two of its fields must say
    /// alike where it ends, or `from` alone is given up: the next fetch goes on in it.
    pub(super) fn end_if_damaged(&self, from: u64) -> (u64, bool) {
        let following = BatchFrame::of(self.rest).and_then(|next| batch_of(&next).ok()).map(|next| next.first);
        if let Some(next) = following.filter(|next| *next > from) {
            return (next, true);
        }
        let number = |at: usize| Some(i32::from_be_bytes(*self.body.get(at..)?.first_chunk()?));
        let count = number(45).filter(|count| *count > 0 && number(11) == Some(*count - 1));
        let first = self.first.filter(|first| *first <= from && self.body.get(4) == Some(&FORMAT));
        let counted = first.zip(count).and_then(|(first, count)| first.checked_add(u64::from(count.unsigned_abs())));
        (counted.filter(|next| *next > from).unwrap_or(from.saturating_add(1)), false)
    }
}

/// Whether a batch is compressed by gzip, as its attributes tell it.
pub(super) fn is_gzip(frame: &BatchFrame<'_>) -> bool {
    frame.attributes() & CODEC == GZIP
}

/// A whole batch.
pub(super) struct LogBatch<'a> {
    pub(super) first: u64,
    /// The offset behind its last record.
    pub(super) next: u64,
    pub(super) attributes: i16,
    pub(super) producer: i64,
    pub(super) count: i32,
    /// The time of the first record.
    pub(super) time: i64,
    records: &'a [u8],
}

/// What a batch says of itself, or what is wrong with it: that may have come on its way.
pub(super) fn batch_of<'a>(frame: &BatchFrame<'a>) -> Result<LogBatch<'a>, String> {
    let first = frame.first.ok_or_else(|| "its offset or its length is negative".to_owned())?;
    let mut reader = WireReader::new(frame.body);
    let mut header = || {
        let (_, magic, crc) = (reader.i32()?, reader.i8()?, reader.u32()?);
        let (checked, attributes, last, time) = (reader.rest(), reader.i16()?, reader.i32()?, reader.i64()?);
        let (_, producer, _, _, count) = (reader.i64()?, reader.i64()?, reader.i16()?, reader.i32()?, reader.i32()?);
        Ok::<_, BrokerError>((magic, crc, checked, attributes, last, time, producer, count))
    };
    let told = header().map_err(words)?;
    let (magic, crc, checked, attributes, last, time, producer, count) = told;
    if magic.cast_unsigned() != FORMAT {
        return Err(format!("its format is {magic}, and this host reads {FORMAT} alone"));
    }
    if crc32c(checked) != crc {
        return Err("its checksum does not match".to_owned());
    }
    let next = u64::try_from(last).ok().and_then(|last| first.checked_add(last)?.checked_add(1));
    let next = next.filter(|next| i64::try_from(*next).is_ok()).ok_or_else(|| "its offsets are none".to_owned())?;
    Ok(LogBatch { first, next, attributes, producer, count, time, records: reader.rest() })
}

/// The records without their compression.
pub(super) fn plain<'a>(batch: &LogBatch<'a>, codec: &str) -> Result<Cow<'a, [u8]>, String> {
    match batch.attributes & CODEC {
        0 => Ok(Cow::Borrowed(batch.records)),
        GZIP => {
            let mut plain = Vec::new();
            let read = flate2::read::MultiGzDecoder::new(batch.records).take(LONGEST_PLAIN + 1).read_to_end(&mut plain);
            read.map_err(|error| error.to_string())?;
            if plain.len() as u64 > LONGEST_PLAIN {
                return Err(format!("it has more than {} MiB without its compression", LONGEST_PLAIN >> 20));
            }
            Ok(Cow::Owned(plain))
        }
        _ => Err(format!(
            "it is compressed by {codec}, which Atoll does not read: set the topic's `compression.type` to \
             `uncompressed` or `gzip`"
        )),
    }
}

/// What is wrong, without the words around it.
pub(super) fn words(error: BrokerError) -> String {
    match error {
        BrokerError::Unread(what) => what,
        error => error.to_string(),
    }
}

/// The checksum of Castagnoli, as RFC 3720 has it.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0_u32;
    while n < 256 {
        let (mut crc, mut bit) = (n, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[n as usize] = crc;
        n += 1;
    }
    table
};
