//! Batches of records, in the one format that servers of the Kafka protocol have had since 2017 (`magic` 2).

use super::wire::{WireReader, WireWriter};
use crate::broker::error::BrokerError;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

/// The bytes before the length's end: the first offset and the length.
const PREAMBLE: usize = 12;
/// Bits of a batch's attributes.
const CODEC: i16 = 0b111;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const GZIP: i16 = 1;
/// What one compressed batch may have without its compression, in bytes.
const LONGEST_PLAIN: u64 = 32 << 20;

/// A record without its place in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogRecord {
    /// In milliseconds since 1970.
    pub(super) time: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

impl LogRecord {
    /// The value of a header, as text.
    pub(super) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.headers.iter().find(|(own, _)| own == name)?;
        Some(String::from_utf8_lossy(value))
    }
}

/// Who writes a batch, and which of its records is the first: a server refuses what an earlier epoch writes, and what
/// does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProducerTurn {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

/// Records of a log, which a fetch has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FetchedRecords {
    /// With their offsets, in that order.
    pub(super) records: Vec<(u64, LogRecord)>,
    /// The offset behind the last whole batch; `None` if there was none.
    pub(super) next: Option<u64>,
}

/// Which transactions of others were aborted: the producer, and from which offset on.
pub(super) type AbortedTransactions = Vec<(i64, i64)>;

/// One batch of these records, which is not empty.
pub(super) fn encode(records: &[LogRecord], turn: ProducerTurn) -> Vec<u8> {
    let times = || records.iter().map(|record| record.time);
    let (first, latest) = (times().next().unwrap_or(0), times().max().unwrap_or(0));
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let mut body = WireWriter::default();
    body.i16(0).i32(count - 1).i64(first).i64(latest);
    body.i64(turn.id).i16(turn.epoch).i32(turn.sequence).i32(count);
    for (n, record) in records.iter().enumerate() {
        let mut one = WireWriter::default();
        one.i8(0).varint(record.time.wrapping_sub(first)).varint(n as i64);
        one.varrun(record.key.as_deref()).varrun(Some(&record.value)).varint(record.headers.len() as i64);
        for (name, value) in &record.headers {
            one.varrun(Some(name.as_bytes())).varrun(Some(value));
        }
        body.varrun(Some(one.bytes()));
    }
    let mut batch = WireWriter::default();
    // The server sets the first offset and the leader's epoch. The length counts from that epoch on.
    batch.i64(0).length(body.bytes().len() + 9).i32(0).i8(2);
    batch.i32(crc32c(body.bytes()).cast_signed()).raw(body.bytes());
    batch.into_bytes()
}

/// The records of all whole batches, without those of `aborted` transactions. A server may end in the middle of one.
///
/// # Errors
/// A batch is damaged, or written in a way that this host cannot read.
pub(super) fn decode(bytes: &[u8], mut aborted: AbortedTransactions) -> Result<FetchedRecords, BrokerError> {
    let (mut found, mut reader) = (FetchedRecords::default(), WireReader::new(bytes));
    let mut dropped = BTreeSet::new();
    while reader.rest().len() > PREAMBLE {
        let first = reader.i64()?;
        let length = usize::try_from(reader.i32()?).map_err(|_| damaged(first, "its length is negative"))?;
        let Ok(batch) = reader.take(length) else { break };
        let Batch { attributes, last, producer, count, records } = batch_of(batch, first)?;
        let next = first.checked_add(i64::from(last)).and_then(|end| end.checked_add(1));
        let next = next.and_then(|next| u64::try_from(next).ok()).ok_or_else(|| damaged(first, "its offsets"))?;
        let begun: Vec<_> = aborted.extract_if(.., |(_, from)| *from < next.cast_signed()).collect();
        dropped.extend(begun.into_iter().map(|(producer, _)| producer));
        found.next = Some(next);
        if attributes & CONTROL != 0 {
            // The end of that producer's transaction.
            dropped.remove(&producer);
        } else if attributes & TRANSACTIONAL == 0 || !dropped.contains(&producer) {
            let plain = plain(attributes & CODEC, records, first)?;
            let mut reader = WireReader::new(&plain.0);
            for _ in 0..count {
                found.records.push(record_of(&mut reader, first, plain.1)?);
            }
        }
    }
    Ok(found)
}

struct Batch<'a> {
    attributes: i16,
    /// The offset of the last record, counted from the first.
    last: i32,
    producer: i64,
    count: i32,
    /// Behind the time of the first one, which stands before them here.
    records: (i64, &'a [u8]),
}

fn batch_of(batch: &[u8], first: i64) -> Result<Batch<'_>, BrokerError> {
    let mut reader = WireReader::new(batch);
    let (_, magic) = (reader.i32()?, reader.i8()?);
    if magic != 2 {
        return Err(damaged(first, &format!("its format is {magic}, and this host reads 2 alone")));
    }
    let crc = reader.u32()?;
    if crc32c(reader.rest()) != crc {
        return Err(damaged(first, "its checksum does not match"));
    }
    let (attributes, last, time, _) = (reader.i16()?, reader.i32()?, reader.i64()?, reader.i64()?);
    let (producer, _, _, count) = (reader.i64()?, reader.i16()?, reader.i32()?, reader.i32()?);
    Ok(Batch { attributes, last, producer, count, records: (time, reader.rest()) })
}

/// The records without their compression, and the time of the first one.
fn plain(codec: i16, (time, records): (i64, &[u8]), first: i64) -> Result<(Vec<u8>, i64), BrokerError> {
    match codec {
        0 => Ok((records.to_vec(), time)),
        GZIP => {
            let mut plain = Vec::new();
            let read = flate2::read::MultiGzDecoder::new(records).take(LONGEST_PLAIN).read_to_end(&mut plain);
            read.map_err(|error| damaged(first, &error.to_string()))?;
            Ok((plain, time))
        }
        _ => {
            let name = ["none", "gzip", "snappy", "lz4", "zstd"].get(codec.unsigned_abs() as usize).unwrap_or(&"?");
            Err(BrokerError::Unfit(format!(
                "the batch at offset {first} is compressed by {name}, which Atoll does not read: set the topic's \
                 `compression.type` to `uncompressed` or `gzip` before others publish"
            )))
        }
    }
}

fn record_of(reader: &mut WireReader<'_>, first: i64, time: i64) -> Result<(u64, LogRecord), BrokerError> {
    let length = usize::try_from(reader.varint()?).map_err(|_| damaged(first, "a record's length is negative"))?;
    let mut reader = WireReader::new(reader.take(length)?);
    let (_, later, offset) = (reader.i8()?, reader.varint()?, reader.varint()?);
    let offset = first.checked_add(offset).and_then(|offset| u64::try_from(offset).ok());
    let offset = offset.ok_or_else(|| damaged(first, "the offset of a record"))?;
    let key = reader.varrun()?.map(<[u8]>::to_vec);
    let value = reader.varrun()?.unwrap_or_default().to_vec();
    let mut headers = Vec::new();
    for _ in 0..reader.varint()? {
        let name = String::from_utf8_lossy(reader.varrun()?.unwrap_or_default()).into_owned();
        headers.push((name, reader.varrun()?.unwrap_or_default().to_vec()));
    }
    Ok((offset, LogRecord { time: time.wrapping_add(later), key, value, headers }))
}

fn damaged(first: i64, what: &str) -> BrokerError {
    BrokerError::Unread(format!("the batch at offset {first}: {what}"))
}

/// The checksum of Castagnoli, as RFC 3720 has it.
fn crc32c(bytes: &[u8]) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    const TURN: ProducerTurn = ProducerTurn { id: 7, epoch: 3, sequence: 12 };

    fn record(value: &str) -> LogRecord {
        LogRecord { value: value.into(), ..LogRecord::default() }
    }

    /// As a server does: with the first offset, and perhaps other attributes and another body.
    fn placed(mut batch: Vec<u8>, offset: i64, attributes: i16, records: Option<&[u8]>) -> Vec<u8> {
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        if let Some(records) = records {
            batch.truncate(61);
            batch.extend_from_slice(records);
            let length = i32::try_from(batch.len() - PREAMBLE).unwrap();
            batch[8..12].copy_from_slice(&length.to_be_bytes());
        }
        batch[21..23].copy_from_slice(&attributes.to_be_bytes());
        let crc = crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    fn values(found: &FetchedRecords) -> Vec<(u64, String)> {
        let text = |record: &LogRecord| String::from_utf8(record.value.clone()).unwrap();
        found.records.iter().map(|(offset, record)| (*offset, text(record))).collect()
    }

    proptest! {
        #[test]
        fn records_read_as_they_were_written(
            records in proptest::collection::vec(
                (
                    0..i64::MAX,
                    proptest::option::of(".{0,20}"),
                    ".{0,40}",
                    proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4),
                ),
                1..9
            ),
            cut in 0..400_usize,
        ) {
            let records: Vec<_> = records
                .into_iter()
                .map(|(time, key, value, headers)| LogRecord {
                    time,
                    key: key.map(String::into_bytes),
                    value: value.into_bytes(),
                    headers: headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
                })
                .collect();
            let batch = placed(encode(&records, TURN), 40, 0, None);
            let found = decode(&batch, Vec::new()).unwrap();
            prop_assert_eq!(found.next, Some(40 + records.len() as u64));
            let expected: Vec<_> = (40..).zip(records).collect();
            prop_assert_eq!(found.records, expected);
            // A part of a batch is none.
            let cut = cut.min(batch.len() - 1);
            prop_assert_eq!(decode(&batch[..cut], Vec::new()).unwrap(), FetchedRecords::default());
        }

        #[test]
        fn a_flipped_bit_is_found(at in 21..90_usize, bit in 0..8_u8) {
            let mut batch = placed(encode(&[record("some value of a record")], TURN), 0, 0, None);
            let at = at.min(batch.len() - 1);
            batch[at] ^= 1 << bit;
            let found = decode(&batch, Vec::new()).unwrap_err().to_string();
            prop_assert!(found.contains("its checksum does not match"), "{}", found);
        }

        #[test]
        fn no_bytes_of_a_stranger_break_the_reader(mut bytes in proptest::collection::vec(any::<u8>(), 61..200)) {
            let length = i32::try_from(bytes.len() - PREAMBLE).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            let crc = crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            let _ = decode(&bytes, vec![(0, 0)]);
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&(0..32).collect::<Vec<_>>()), 0x46dd_794e);
    }

    #[test]
    fn what_was_aborted_is_left_out_and_controls_are_no_records() {
        let mut log = placed(encode(&[record("a")], TURN), 0, TRANSACTIONAL, None);
        log.extend(placed(encode(&[record("b"), record("c")], TURN), 1, 0, None));
        log.extend(placed(encode(&[record("end of a")], TURN), 3, TRANSACTIONAL | CONTROL, None));
        log.extend(placed(encode(&[record("d")], TURN), 4, TRANSACTIONAL, None));
        let found = decode(&log, vec![(7, 0)]).unwrap();
        assert_eq!(values(&found), [(1, "b".into()), (2, "c".into()), (4, "d".into())]);
        assert_eq!(found.next, Some(5));
        assert_eq!(values(&decode(&log, vec![(8, 0)]).unwrap()).len(), 4);
    }

    #[test]
    fn gzip_is_read_and_another_compression_is_named() {
        let batch = encode(&[record("a"), record("b")], TURN);
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        zipped.write_all(&batch[61..]).unwrap();
        let found = placed(batch.clone(), 5, GZIP, Some(&zipped.finish().unwrap()));
        assert_eq!(values(&decode(&found, Vec::new()).unwrap()), [(5, "a".into()), (6, "b".into())]);
        let complaint = decode(&placed(batch, 5, 3, None), Vec::new()).unwrap_err().to_string();
        assert!(complaint.contains("offset 5 is compressed by lz4") && complaint.contains("`gzip`"), "{complaint}");
    }
}
