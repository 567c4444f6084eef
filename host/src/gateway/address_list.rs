//! Which clients are let in, by their addresses.

use super::problem::Problem;
use http::StatusCode;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    bits: u8,
}

/// Why a text is no [`AddressRange`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// It is not written as one.
    #[error("is no range of addresses")]
    Malformed,
    /// It names an address within the range in place of the first one.
    #[error("begins within its range, whose first address is {0}")]
    NotFirst(IpAddr),
}

/// Who is let in: whoever is in a range of `allow`, or everybody if there is none, and in no range of `deny`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList {
    /// Who is let in; empty: everybody.
    pub allow: Vec<AddressRange>,
    /// Who is not, also if `allow` names him.
    pub deny: Vec<AddressRange>,
}

impl AddressRange {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => cut(address, self.bits) == self.first,
            _ => false,
        }
    }
}

/// The address with its bits after the first `bits` cleared.
fn cut(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(own) => IpAddr::V4((own.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()),
        IpAddr::V6(own) => IpAddr::V6((own.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()),
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let written: IpAddr = address.parse().map_err(|_| AddressRangeError::Malformed)?;
        // An IPv4 client is never seen as an IPv6 address. So such a range would match nobody.
        if written.to_canonical() != written {
            return Err(AddressRangeError::Malformed);
        }
        let most = if written.is_ipv4() { 32 } else { 128 };
        let is_number = |length: &&str| length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match length {
            None => Some(most),
            Some(length) => Some(length).filter(is_number).and_then(|length| length.parse().ok()),
        };
        let bits = bits.filter(|bits| *bits <= most).ok_or(AddressRangeError::Malformed)?;
        let first = cut(written, bits);
        if first == written { Ok(Self { first, bits }) } else { Err(AddressRangeError::NotFirst(first)) }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl AddressList {
    /// Whether it lets everybody in.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether it lets this client in, whose IPv4 address is written as one.
    pub fn admits(&self, client: IpAddr) -> bool {
        let among = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(client));
        (self.allow.is_empty() || among(&self.allow)) && !among(&self.deny)
    }

    /// Refuses a client that it does not let in. The answer does not say why: neither list is the client's business.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Problem> {
        if self.admits(client) {
            return Ok(());
        }
        let detail = "requests from this address are not answered here";
        Err(Problem::new(StatusCode::FORBIDDEN, "address-refused", "The address is refused", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(allow: &[&str], deny: &[&str]) -> AddressList {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a range")).collect();
        AddressList { allow: ranges(allow), deny: ranges(deny) }
    }

    #[test]
    fn a_client_is_let_in_by_allow_and_kept_out_by_deny() {
        let inside = list(&["10.0.0.0/8", "2001:db8::/32"], &["10.9.0.0/16", "2001:db8:1::7"]);
        for (client, admitted) in [
            ("10.0.0.1", true),
            ("10.255.255.255", true),
            ("10.9.1.2", false),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("2001:db8:ffff::1", true),
            ("2001:db8:1::7", false),
            ("2001:db8:1::8", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            assert_eq!(inside.admits(client.parse().expect("an address")), admitted, "{client}");
        }
        assert!(list(&[], &["0.0.0.0/0"]).admits("::1".parse().expect("an address")), "of the other family");
        assert!(!list(&[], &["0.0.0.0/0"]).admits("127.0.0.1".parse().expect("an address")));
        assert!(list(&[], &[]).is_empty() && !inside.is_empty());
    }

    #[test]
    fn a_range_is_written_with_its_first_address() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "::/0", "2001:db8::/32", "2001:db8::1/128"] {
            assert_eq!(text.parse::<AddressRange>().expect(text).to_string(), text);
        }
        assert_eq!("192.0.2.1".parse::<AddressRange>().expect("one").to_string(), "192.0.2.1/32");
        let bad = [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "example.com",
            "/8",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
        ];
        for text in bad {
            assert_eq!(text.parse::<AddressRange>(), Err(AddressRangeError::Malformed), "{text:?}");
        }
        let within = "10.1.0.0/8".parse::<AddressRange>();
        assert_eq!(within, Err(AddressRangeError::NotFirst("10.0.0.0".parse().expect("an address"))));
    }

    proptest! {
        #[test]
        fn a_range_has_the_addresses_whose_first_bits_are_its_own(
            first in any::<u128>(), other in any::<u128>(), bits in 0_u8..=128, same in any::<bool>(),
        ) {
            let mask = if bits == 0 { 0 } else { u128::MAX << (128 - u32::from(bits)) };
            let other = if same { (first & mask) | (other & !mask) } else { other };
            let range = AddressRange { first: cut(IpAddr::V6(first.into()), bits), bits };
            prop_assert_eq!(range.contains(IpAddr::V6(other.into())), first & mask == other & mask);
        }
    }
}
