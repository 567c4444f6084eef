//! The primitive types of the Kafka protocol, as its versions without compact types write them: big-endian numbers, and
//! a length before each text, array and run of bytes. Records have variable-length numbers.

use crate::broker::error::BrokerError;
use std::fmt;

/// What is written. Its bytes do not print: a password may be among them.
#[derive(Default, Clone)]
pub(super) struct WireWriter(Vec<u8>);

impl WireWriter {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn i8(&mut self, number: i8) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn i16(&mut self, number: i16) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn i32(&mut self, number: i32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn i64(&mut self, number: i64) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A length, or the number of an array's elements.
    pub(super) fn length(&mut self, length: usize) -> &mut Self {
        self.i32(i32::try_from(length).unwrap_or(i32::MAX))
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX)).raw(text.as_bytes())
    }

    /// A text that is absent.
    pub(super) fn no_text(&mut self) -> &mut Self {
        self.i16(-1)
    }

    pub(super) fn run(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len()).raw(bytes)
    }

    /// A text as the newer versions write it.
    pub(super) fn compact_text(&mut self, text: &str) -> &mut Self {
        self.uvarint(text.len() as u64 + 1).raw(text.as_bytes())
    }

    /// A signed number of variable length, in zigzag.
    pub(super) fn varint(&mut self, number: i64) -> &mut Self {
        self.uvarint(((number << 1) ^ (number >> 63)).cast_unsigned())
    }

    fn uvarint(&mut self, mut left: u64) -> &mut Self {
        while left >= 0x80 {
            self.0.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        self.0.push((left & 0x7f) as u8);
        self
    }

    /// A length before bytes in a record; `None`: they are absent.
    pub(super) fn varrun(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.varint(bytes.len().cast_signed() as i64).raw(bytes),
            None => self.varint(-1),
        }
    }
}

impl fmt::Debug for WireWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireWriter({} bytes)", self.0.len())
    }
}

impl fmt::Debug for WireReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireReader({} bytes)", self.0.len())
    }
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct WireReader<'a>(&'a [u8]);

fn too_short() -> BrokerError {
    BrokerError::Unread("it ends too early".to_owned())
}

impl<'a> WireReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// All that is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], BrokerError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(too_short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BrokerError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(too_short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn i8(&mut self) -> Result<i8, BrokerError> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, BrokerError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, BrokerError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, BrokerError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, BrokerError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The elements of an array; one that is absent has none.
    pub(super) fn items<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, BrokerError>,
    ) -> Result<Vec<T>, BrokerError> {
        // Without a capacity: the number is a stranger's.
        (0..self.i32()?.max(0)).map(|_| item(self)).collect()
    }

    /// A text; `None` if it is absent.
    pub(super) fn text(&mut self) -> Result<Option<String>, BrokerError> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }

    /// Bytes; none if they are absent.
    pub(super) fn run(&mut self) -> Result<&'a [u8], BrokerError> {
        let length = self.i32()?.max(0);
        self.take(length.unsigned_abs() as usize)
    }

    /// As [`WireWriter::varint`].
    pub(super) fn varint(&mut self) -> Result<i64, BrokerError> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
            }
        }
        Err(BrokerError::Unread("a number is too long".to_owned()))
    }

    /// As [`WireWriter::varrun`].
    pub(super) fn varrun(&mut self) -> Result<Option<&'a [u8]>, BrokerError> {
        let length = self.varint()?;
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        self.take(length).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compact_text_has_its_length_and_one_more_before_it() {
        let mut writer = WireWriter::default();
        writer.compact_text("ab").compact_text(&"x".repeat(200));
        assert_eq!(&writer.bytes()[..5], [3, b'a', b'b', 0xc9, 0x01]);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            numbers: (i8, i16, i32, i64),
            varints in proptest::collection::vec(any::<i64>(), 0..5),
            text in ".{0,40}",
            bytes in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        ) {
            let mut writer = WireWriter::default();
            writer.i8(numbers.0).i16(numbers.1).i32(numbers.2).i64(numbers.3).text(&text).no_text();
            writer.length(varints.len());
            varints.iter().for_each(|number| { writer.varint(*number); });
            writer.varrun(bytes.as_deref()).run(b"end");
            let mut reader = WireReader::new(writer.bytes());
            let read = (reader.i8().unwrap(), reader.i16().unwrap(), reader.i32().unwrap(), reader.i64().unwrap());
            prop_assert_eq!(read, numbers);
            prop_assert_eq!((reader.text().unwrap(), reader.text().unwrap()), (Some(text), None));
            prop_assert_eq!(reader.items(WireReader::varint).unwrap(), varints);
            prop_assert_eq!(reader.varrun().unwrap(), bytes.as_deref());
            prop_assert_eq!(reader.run().unwrap(), b"end");
            prop_assert!(reader.rest().is_empty());
        }

        #[test]
        fn no_bytes_of_a_stranger_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = WireReader::new(&bytes);
            while reader.varint().is_ok() && reader.varrun().is_ok() && reader.text().is_ok() && reader.run().is_ok() {}
            let _ = WireReader::new(&bytes).items(WireReader::i64);
        }
    }
}
