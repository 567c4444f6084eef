//! The records of a log at a server of the Kafka protocol: how they are written, and read within bounds.

use super::batch::{BatchFrame, CONTROL, LogBatch, TRANSACTIONAL, batch_of, crc32c, is_gzip, plain, words};
use super::wire::{WireReader, WireWriter};
use crate::broker::error::BrokerError;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What one page has at most, as records in memory: a stranger's batches may be a thousand times as long as they come.
const PAGE_PLAIN: usize = 4 << 20;
const PAGE_RECORDS: usize = 4096;
/// So many bytes of a page are read at once: their checksums take a fraction of a millisecond.
const LIGHT: usize = 64 << 10;
/// The most headers of a record: further ones are left out. Two bytes of a stranger would take 48 here.
const HEADERS: i64 = 1000;

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

/// How much of a fetch is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadBudget {
    /// Records before this offset are left out.
    pub(super) from: u64,
    /// The most records.
    pub(super) records: usize,
    /// The most bytes of them in memory: with the record that reaches it, reading ends.
    pub(super) bytes: usize,
    /// Whether records count that others write in transactions.
    pub(super) transactions: bool,
}

impl ReadBudget {
    /// A page of at most `most` records from this offset on.
    pub(super) fn page(from: u64, most: usize) -> Self {
        Self { from, records: most.clamp(1, PAGE_RECORDS), bytes: PAGE_PLAIN, transactions: true }
    }

    fn is_spent(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }
}

/// Records of a log, which a fetch has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FetchedRecords {
    /// With their offsets, in that order.
    pub(super) records: Vec<(u64, LogRecord)>,
    /// The batches among them that cannot be read, in the order of their offsets.
    pub(super) damaged: Vec<DamagedBatch>,
    /// The offset behind what was read; `None` if nothing was.
    pub(super) next: Option<u64>,
}

/// A batch that cannot be read, or not from some record on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DamagedBatch {
    /// The offset of its first record.
    pub(super) first: u64,
    /// The offset behind its last record. As one event it has this number, which is that of its last record.
    pub(super) next: u64,
    /// How it is compressed, as far as that can be told.
    pub(super) codec: &'static str,
    /// What is wrong.
    pub(super) what: String,
    /// Whether it may be whole there, and was damaged on its way.
    pub(super) may_pass: bool,
}

/// About how many bytes a record has in memory.
fn weight(record: &LogRecord) -> usize {
    let header = |(name, value): &(String, Vec<u8>)| size_of::<(String, Vec<u8>)>() + name.len() + value.len();
    let headers: usize = record.headers.iter().map(header).sum();
    size_of::<LogRecord>() + record.key.as_ref().map_or(0, Vec::len) + record.value.len() + headers
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

/// The records of whole batches, without those of `aborted` transactions, as far as the budget goes: it may end inside
/// of a batch, and reads something in any case. A server may end in the middle of a batch. One that cannot be read is
/// told, and what stands before and behind it is read.
pub(super) fn decode(bytes: &[u8], mut aborted: AbortedTransactions, budget: ReadBudget) -> FetchedRecords {
    let (mut found, mut rest, mut left) = (FetchedRecords::default(), bytes, budget);
    let mut dropped = BTreeSet::new();
    while !left.is_spent()
        && let Some(frame) = BatchFrame::of(rest)
    {
        rest = frame.rest;
        left.from = left.from.max(found.next.unwrap_or(0));
        let batch = match batch_of(&frame) {
            Ok(batch) => batch,
            Err(what) => {
                let (first, (next, goes_on)) = (frame.first.unwrap_or(left.from), frame.end_if_damaged(left.from));
                found.damage(DamagedBatch { first, next, codec: frame.codec(), what, may_pass: true }, &mut left);
                if goes_on {
                    continue;
                }
                break;
            }
        };
        let begun: Vec<_> = aborted.extract_if(.., |(_, from)| *from < batch.next.cast_signed()).collect();
        dropped.extend(begun.into_iter().map(|(producer, _)| producer));
        let is_transactional = batch.attributes & TRANSACTIONAL != 0;
        if batch.attributes & CONTROL != 0 {
            // The end of that producer's transaction.
            dropped.remove(&batch.producer);
        } else if batch.next > left.from
            && (!is_transactional || (budget.transactions && !dropped.contains(&batch.producer)))
            && let Some(inside) = found.read(&batch, frame.codec(), &mut left)
        {
            found.next = Some(inside);
            break;
        }
        found.next = Some(batch.next);
    }
    found
}

/// Whether reading these takes so long, or so much memory, that it must not be done beside requests.
pub(super) fn is_heavy(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(frame) = BatchFrame::of(rest) {
        if is_gzip(&frame) {
            return true;
        }
        rest = frame.rest;
    }
    bytes.len() > LIGHT
}

impl FetchedRecords {
    /// Reads a batch. Returns where it has stopped, if that is inside of the batch.
    fn read(&mut self, batch: &LogBatch<'_>, codec: &'static str, left: &mut ReadBudget) -> Option<u64> {
        let read = plain(batch, codec).and_then(|plain| self.take(&plain, batch, left));
        read.unwrap_or_else(|what| {
            let (first, next) = (batch.first, batch.next);
            self.damage(DamagedBatch { first, next, codec, what, may_pass: false }, left);
            None
        })
    }

    fn take(&mut self, plain: &[u8], batch: &LogBatch<'_>, left: &mut ReadBudget) -> Result<Option<u64>, String> {
        let (mut reader, mut offset) = (WireReader::new(plain), batch.first);
        for _ in 0..batch.count {
            if left.is_spent() {
                return Ok(Some(offset));
            }
            let (own, record) = record_of(&mut reader, batch, left.from).map_err(words)?;
            if !(offset..batch.next).contains(&own) {
                return Err(format!("it has a record at offset {own}"));
            }
            offset = own + 1;
            if let Some(record) = record {
                (left.records, left.bytes) = (left.records - 1, left.bytes.saturating_sub(weight(&record)));
                self.records.push((own, record));
            }
        }
        Ok(None)
    }

    /// Steps over a batch that cannot be read.
    fn damage(&mut self, batch: DamagedBatch, left: &mut ReadBudget) {
        self.next = Some(self.next.unwrap_or(0).max(batch.next));
        // Its last record may have been read.
        let is_read = self.records.last().is_some_and(|(offset, _)| *offset + 1 >= batch.next);
        if batch.next > left.from && !is_read {
            left.records = left.records.saturating_sub(1);
            self.damaged.push(batch);
        }
    }
}

/// The next record and its offset; `None` if it stands before `from`.
fn record_of(
    reader: &mut WireReader<'_>,
    batch: &LogBatch<'_>,
    from: u64,
) -> Result<(u64, Option<LogRecord>), BrokerError> {
    let unread = |what: &str| BrokerError::Unread(what.to_owned());
    let length = usize::try_from(reader.varint()?).map_err(|_| unread("a record's length is negative"))?;
    let mut reader = WireReader::new(reader.take(length)?);
    let (_, later, offset) = (reader.i8()?, reader.varint()?, reader.varint()?);
    let offset = u64::try_from(offset).ok().and_then(|offset| batch.first.checked_add(offset));
    let offset = offset.ok_or_else(|| unread("the offset of a record"))?;
    if offset < from {
        return Ok((offset, None));
    }
    let key = reader.varrun()?.map(<[u8]>::to_vec);
    let value = reader.varrun()?.unwrap_or_default().to_vec();
    let mut headers = Vec::new();
    for _ in 0..reader.varint()?.min(HEADERS) {
        let name = String::from_utf8_lossy(reader.varrun()?.unwrap_or_default()).into_owned();
        headers.push((name, reader.varrun()?.unwrap_or_default().to_vec()));
    }
    Ok((offset, Some(LogRecord { time: batch.time.wrapping_add(later), key, value, headers })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka::batch::GZIP;
    use proptest::prelude::*;
    use std::io::Write;

    const TURN: ProducerTurn = ProducerTurn { id: 7, epoch: 3, sequence: 12 };
    /// What stands before the bytes that the length counts.
    const PREAMBLE: usize = 12;
    const LZ4: i16 = 3;

    /// All records, of one page.
    fn read(bytes: &[u8], aborted: AbortedTransactions) -> FetchedRecords {
        decode(bytes, aborted, ReadBudget::page(0, usize::MAX))
    }

    fn zipped(batch: &[u8], offset: i64) -> Vec<u8> {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&batch[61..]).unwrap();
        placed(batch.to_vec(), offset, GZIP, Some(&zipped.finish().unwrap()))
    }

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
            let found = read(&batch, Vec::new());
            prop_assert_eq!(found.next, Some(40 + records.len() as u64));
            let expected: Vec<_> = (40..).zip(records).collect();
            prop_assert_eq!(found.records, expected);
            // A part of a batch is none.
            let cut = cut.min(batch.len() - 1);
            prop_assert_eq!(read(&batch[..cut], Vec::new()), FetchedRecords::default());
        }

        #[test]
        fn a_flipped_bit_is_found(at in 21..90_usize, bit in 0..8_u8) {
            let mut batch = placed(encode(&[record("some value of a record")], TURN), 0, 0, None);
            let at = at.min(batch.len() - 1);
            batch[at] ^= 1 << bit;
            let found = read(&batch, Vec::new());
            let damaged = &found.damaged[0];
            prop_assert!(damaged.may_pass && damaged.what.contains("its checksum does not match"), "{:?}", damaged);
            prop_assert_eq!((found.records, damaged.next, found.next), (Vec::new(), 1, Some(1)));
        }

        #[test]
        fn no_bytes_of_a_stranger_break_the_reader(mut bytes in proptest::collection::vec(any::<u8>(), 61..200)) {
            let length = i32::try_from(bytes.len() - PREAMBLE).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            let crc = crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            let found = read(&bytes, vec![(0, 0)]);
            let numbers: Vec<_> = found.records.iter().map(|(offset, _)| offset + 1).collect();
            prop_assert!(numbers.is_sorted() && numbers.iter().all(|number| *number <= found.next.unwrap()));
            let _ = is_heavy(&bytes);
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
        let found = read(&log, vec![(7, 0)]);
        assert_eq!(values(&found), [(1, "b".into()), (2, "c".into()), (4, "d".into())]);
        assert_eq!(found.next, Some(5));
        assert_eq!(values(&read(&log, vec![(8, 0)])).len(), 4);
        let without = decode(&log, Vec::new(), ReadBudget { transactions: false, ..ReadBudget::page(0, 9) });
        assert_eq!(values(&without), [(1, "b".into()), (2, "c".into())]);
    }

    #[test]
    fn gzip_is_read_and_another_compression_is_one_damaged_event_between_others() {
        let batch = encode(&[record("a"), record("b")], TURN);
        let mut log = zipped(&batch, 5);
        log.extend(placed(batch.clone(), 7, LZ4, None));
        log.extend(placed(batch.clone(), 9, 0, None));
        let found = read(&log, Vec::new());
        let around = [(5, "a".into()), (6, "b".into()), (9, "a".into()), (10, "b".into())];
        assert_eq!((values(&found).as_slice(), found.next), (&around[..], Some(11)));
        let [damaged] = &found.damaged[..] else { panic!("{:?}", found.damaged) };
        assert_eq!((damaged.first, damaged.next, damaged.codec, damaged.may_pass), (7, 9, "lz4", false));
        assert!(damaged.what.contains("compressed by lz4") && damaged.what.contains("`gzip`"), "{}", damaged.what);
        assert!(is_heavy(&log) && !is_heavy(&placed(batch, 0, 0, None)));
    }

    /// Nothing in its bytes can be trusted, also not where it ends.
    #[test]
    fn a_batch_whose_checksum_is_wrong_ends_where_the_next_one_begins() {
        let batch = encode(&[record("a"), record("b"), record("c")], TURN);
        for (at, alone) in [(70, 8), (24, 6), (58, 6), (16, 6)] {
            let mut log = placed(batch.clone(), 5, 0, None);
            log[at] ^= 0x40;
            let from = |offset: u64| decode(&log, Vec::new(), ReadBudget::page(offset, 9));
            assert_eq!((from(5).next, from(5).damaged[0].next), (Some(alone), alone), "alone, with byte {at}");
            // In the middle of it, since a look before has given up one offset alone.
            assert_eq!((from(7).next, from(7).damaged[0].next), (Some(8), 8), "{at}");
            log.extend(placed(batch.clone(), 8, 0, None));
            let found = read(&log, Vec::new());
            assert_eq!((values(&found).len(), found.next, found.damaged[0].next), (3, Some(11), 8), "{at}");
        }
        // Its length: what follows seems to be a batch of a far offset.
        for length in [0x80_u8, 0] {
            let mut log = placed(batch.clone(), 5, 0, None);
            (log[8], log[11]) = (length, log[11] - 9);
            log.extend([0x7f; 80]);
            let found = decode(&log, Vec::new(), ReadBudget::page(6, 9));
            let next = found.damaged[0].next;
            assert!((7..=8).contains(&next) && found.next == Some(next) && found.damaged.len() == 1, "{found:?}");
        }
    }

    /// Whoever may publish could have the host's memory otherwise.
    #[test]
    fn what_a_page_becomes_in_memory_is_bounded_and_all_of_it_is_read_by_further_pages() {
        let large: Vec<_> = (0..6).map(|n| record(&n.to_string().repeat(1 << 20))).collect();
        let tiny = vec![record(""); 10_000];
        let mut log = zipped(&encode(&large, TURN), 0);
        log.extend(zipped(&encode(&large, TURN), 6));
        log.extend(zipped(&encode(&tiny, TURN), 12));
        assert!(log.len() < 500_000, "{}", log.len());
        let (mut next, mut offsets, mut pages) = (0, Vec::new(), 0);
        while next < 10_012 {
            let found = decode(&log, Vec::new(), ReadBudget::page(next, usize::MAX));
            let bytes: usize = found.records.iter().map(|(_, record)| weight(record)).sum();
            assert!(bytes <= PAGE_PLAIN + (1 << 20) + 1000 && found.records.len() <= PAGE_RECORDS, "{bytes}");
            assert!(found.damaged.is_empty() && found.next.unwrap() > next);
            (next, pages) = (found.next.unwrap(), pages + 1);
            offsets.extend(found.records.into_iter().map(|(offset, _)| offset));
        }
        assert!(offsets.into_iter().eq(0..10_012) && pages > 4);
    }

    #[test]
    fn a_batch_too_large_without_its_compression_is_damaged_and_not_cut() {
        let found = read(&zipped(&encode(&vec![record(&"x".repeat(1 << 20)); 33], TURN), 0), Vec::new());
        assert_eq!((found.records.len(), found.next, found.damaged[0].next), (0, Some(33), 33));
        assert!(found.damaged[0].what.contains("more than 32 MiB"), "{:?}", found.damaged);
    }
}
