//! The text of an API key.

use sha2::{Digest as _, Sha256};
use std::fmt;

/// What every key begins with. One word, so that a double click takes the whole key.
const PREFIX: &str = "atoll_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The digits of 256 bits in base 62: 62^43 is more than 2^256.
const SECRET: usize = 43;
/// The digits of a CRC-32 in base 62.
const CHECKSUM: usize = 6;

/// A key: `atoll_`, 43 digits of 256 random bits, and 6 digits of their CRC-32, all in base 62. It is the form of
/// GitHub's tokens: secret scanners find it by `atoll_[0-9A-Za-z]{49}`, and know by the checksum that it is one.
pub struct ApiKey(String);

/// The SHA-256 of a key, which is what a host keeps. A key has 256 random bits, so nobody can try them, and a slow hash
/// would only make each request slow.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl ApiKey {
    /// The key of these random bits.
    pub fn from_random(bits: [u8; 32]) -> Self {
        let mut text = String::with_capacity(PREFIX.len() + SECRET + CHECKSUM);
        text.push_str(PREFIX);
        let mut number = bits;
        let mut digits = [0; SECRET];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[divide(&mut number)];
        }
        let checksum = checksum(&digits);
        text.extend(digits.into_iter().chain(checksum).map(char::from));
        Self(text)
    }

    /// The key itself, which its owner sees once.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }
}

impl KeyHash {
    /// The hash of what a client sent, if it has the form of a key. A checksum that is wrong is a typing error, or a
    /// guess: it is not looked for.
    pub fn of_presented(text: &[u8]) -> Option<Self> {
        let (secret, checksum_sent) = text.strip_prefix(PREFIX.as_bytes())?.split_at_checked(SECRET)?;
        (checksum_sent == checksum(secret)).then(|| Self::of(text))
    }

    fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The hash in 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`KeyHash::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// Divides a number in base 256, its highest digit first, by 62. Returns the remainder.
fn divide(number: &mut [u8]) -> usize {
    number.iter_mut().fold(0, |rest, digit| {
        let value = rest * 256 + usize::from(*digit);
        // The rest is below 62, so the quotient is below 256.
        *digit = u8::try_from(value / 62).unwrap_or(u8::MAX);
        value % 62
    })
}

fn checksum(secret: &[u8]) -> [u8; CHECKSUM] {
    let mut number = crc32(secret).to_be_bytes();
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[divide(&mut number)];
    }
    digits
}

/// CRC-32 as in PNG and gzip (polynomial 0xEDB88320, reflected). Bit by bit: 43 bytes need no table.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of CRC-32/ISO-HDLC");
    }

    #[test]
    fn a_key_is_found_by_a_secret_scanner_and_hides_itself() {
        for bits in [[0; 32], [0xff; 32], std::array::from_fn(|at| u8::try_from(at).unwrap())] {
            let key = ApiKey::from_random(bits);
            assert_eq!((key.text().len(), key.text().starts_with("atoll_")), (55, true), "{}", key.text());
            assert!(key.text()[6..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(KeyHash::of_presented(key.text().as_bytes()), Some(key.hash()));
            assert_eq!(format!("{key:?} {:?}", key.hash()), "ApiKey(…) KeyHash(…)");
            assert_eq!(KeyHash::from_hex(&key.hash().to_hex()), Some(key.hash()));
        }
        for wrong in ["", "zz", &"é".repeat(32), &"0".repeat(63)] {
            assert_eq!(KeyHash::from_hex(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn one_changed_character_is_no_key(bits: [u8; 32], at in 0..55usize, to in 0..62usize) {
            let key = ApiKey::from_random(bits);
            let mut text = key.text().as_bytes().to_vec();
            prop_assume!(text[at] != DIGITS[to]);
            text[at] = DIGITS[to];
            prop_assert_eq!(KeyHash::of_presented(&text), None);
            text.push(b'0');
            prop_assert_eq!(KeyHash::of_presented(&text), None);
        }

        #[test]
        fn different_bits_are_different_keys(one: [u8; 32], other: [u8; 32]) {
            let same = ApiKey::from_random(one).text() == ApiKey::from_random(other).text();
            prop_assert_eq!(same, one == other);
        }
    }
}
