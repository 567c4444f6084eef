//! Whole numbers of any size in as few bytes as they need: LEB128, and zigzag for those that may be negative.

/// The most bytes of a number of 64 bits.
const LONGEST: usize = 10;

/// Appends a number: seven bits in each byte, the low ones first; the high bit says that more follow.
pub(super) fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Takes a number off the front of `bytes`. `None`: it does not end, has more than 64 bits, or is longer than it need
/// be.
pub(super) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, &byte) in bytes.iter().enumerate().take(LONGEST) {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * at);
        if shifted >> (7 * at) != bits {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            // A last byte of 0 adds nothing: the number has a shorter form.
            if byte == 0 && at > 0 {
                return None;
            }
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// A signed number as an unsigned one, in the order 0, -1, 1, -2, …: a number near zero stays short.
pub(super) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// The signed number again.
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_number_has_one_form() {
        for (value, form) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(out, form, "{value}");
            assert_eq!(read(&mut &*out), Some(value));
        }
        // Nothing, no end, longer than need be, 65 bits, eleven bytes.
        let wrong: [&[u8]; 6] = [
            &[],
            &[0x80],
            &[0x80, 0],
            &[0xff; 9],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ];
        for bytes in wrong {
            assert_eq!(read(&mut &*bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(value: u64, signed: i64, rest in proptest::collection::vec(any::<u8>(), 0..4)) {
            let mut out = Vec::new();
            write(value, &mut out);
            out.extend(&rest);
            let mut bytes = &*out;
            prop_assert_eq!(read(&mut bytes), Some(value));
            prop_assert_eq!(bytes, &*rest);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }
}
