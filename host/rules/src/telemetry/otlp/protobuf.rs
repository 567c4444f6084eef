//! The wire format of protobuf, as far as OTLP needs it: <https://protobuf.dev/programming-guides/encoding/>.

/// A message that is written field by field.
#[derive(Debug, Default)]
pub(super) struct ProtobufWriter(Vec<u8>);

/// The types of the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

impl ProtobufWriter {
    /// The message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A field of bytes. An empty one is left out: that is its default.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.delimited(field, bytes);
        }
    }

    /// A field of text; left out if it is empty.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A field of text that is written even if it is empty: one of several of which one must be there.
    pub(super) fn text_or_empty(&mut self, field: u32, text: &str) {
        self.delimited(field, text.as_bytes());
    }

    /// A field of bytes that is written even if it is empty.
    pub(super) fn bytes_or_empty(&mut self, field: u32, bytes: &[u8]) {
        self.delimited(field, bytes);
    }

    /// A whole number.
    pub(super) fn varint(&mut self, field: u32, number: u64) {
        self.tag(field, VARINT);
        self.number(number);
    }

    /// Eight bytes.
    pub(super) fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Four bytes.
    pub(super) fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A message within this one, which `write` writes.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, DELIMITED);
        let start = self.0.len();
        write(self);
        let mut length = Self::default();
        length.number((self.0.len() - start) as u64);
        self.0.splice(start..start, length.0);
    }

    fn delimited(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, DELIMITED);
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, field: u32, kind: u64) {
        self.number(u64::from(field) << 3 | kind);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtobufValue<'a> {
    /// A number of any type.
    Number(u64),
    /// Bytes, a text, or a message.
    Bytes(&'a [u8]),
}

/// Reads the fields of a message that a stranger wrote. It ends at the first thing that is wrong.
pub(super) struct ProtobufReader<'a>(pub(super) &'a [u8]);

impl<'a> ProtobufReader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for ProtobufReader<'a> {
    type Item = (u64, ProtobufValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.number()?;
        let value = match tag & 7 {
            VARINT => ProtobufValue::Number(self.number()?),
            FIXED64 => ProtobufValue::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            DELIMITED => {
                let length = self.number()?;
                ProtobufValue::Bytes(self.take(length)?)
            }
            FIXED32 => ProtobufValue::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of the format's own description.
    #[test]
    fn the_examples_of_the_description_are_written_as_there() {
        let written = |write: &dyn Fn(&mut ProtobufWriter)| {
            let mut writer = ProtobufWriter::default();
            write(&mut writer);
            writer.into_bytes()
        };
        assert_eq!(written(&|one| one.varint(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(&|one| one.text(2, "testing")), b"\x12\x07testing");
        assert_eq!(written(&|one| one.message(3, |inner| inner.varint(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert!(written(&|one| one.text(2, "")).is_empty());
        assert_eq!(written(&|one| one.text_or_empty(2, "")), [0x12, 0]);
        let long = written(&|one| one.message(1, |inner| inner.bytes(1, &[7; 200])));
        assert_eq!((&long[..6], long.len()), (&[0x0a, 0xcb, 0x01, 0x0a, 0xc8, 0x01][..], 206));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number: u64,
            fixed: u64,
            small: u32,
            bytes in prop::collection::vec(any::<u8>(), 1..300),
        ) {
            let mut writer = ProtobufWriter::default();
            writer.varint(1, number);
            writer.fixed64(200, fixed);
            writer.fixed32(3, small);
            writer.message(4, |inner| inner.bytes(5, &bytes));
            let written = writer.into_bytes();
            let read: Vec<_> = ProtobufReader(&written).collect();
            prop_assert_eq!(&read[..3], &[
                (1, ProtobufValue::Number(number)),
                (200, ProtobufValue::Number(fixed)),
                (3, ProtobufValue::Number(small.into())),
            ]);
            let (4, ProtobufValue::Bytes(inner)) = read[3] else { panic!("{read:?}") };
            let inner: Vec<_> = ProtobufReader(inner).collect();
            prop_assert_eq!(inner, vec![(5, ProtobufValue::Bytes(&bytes))]);
        }

        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let _ = ProtobufReader(&bytes).count();
        }
    }
}
