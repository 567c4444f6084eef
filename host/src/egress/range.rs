//! The ranges of addresses that are not the public internet.
//!
//! The tables follow the IANA registries of special-purpose addresses (RFC 6890 and those after it) and add what the clouds use. They
//! are strict: a block inside of which a few addresses are reachable for the machinery of the internet is forbidden as a whole.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not a public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// The metadata service of a cloud: it hands the machine's credentials to whoever asks.
    Metadata,
    /// No address. Linux connects to itself.
    Unspecified,
    /// "This host on this network".
    ThisNetwork,
    /// This host.
    Loopback,
    /// The same link alone.
    LinkLocal,
    /// A network of one's own.
    Private,
    /// Between a provider and its customers: carrier-grade NAT.
    Shared,
    /// The protocols' own machinery.
    Protocol,
    /// Examples in texts.
    Documentation,
    /// Measurements in laboratories.
    Benchmarking,
    /// The retired relay from IPv4 to 6to4.
    Relay,
    /// Many receivers.
    Multicast,
    /// All receivers of a link.
    Broadcast,
    /// Whatever arrives is thrown away.
    Discard,
    /// Inside of a network that routes by segments.
    Segments,
    /// Not given to anybody.
    Reserved,
}

impl Range {
    /// Its name for errors and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "cloud metadata",
            Self::Unspecified => "unspecified",
            Self::ThisNetwork => "this network",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Shared => "carrier-grade NAT",
            Self::Protocol => "protocol assignments",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Relay => "6to4 relay",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Discard => "discard-only",
            Self::Segments => "segment routing",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first row that an address is in decides: network, length of its prefix in bits, what it is.
const V4: &[(Ipv4Addr, u32, Range)] = &[
    (Ipv4Addr::new(169, 254, 169, 254), 32, Range::Metadata), // AWS, Azure, Google, Oracle, OpenStack and others
    (Ipv4Addr::new(169, 254, 170, 2), 32, Range::Metadata),   // AWS ECS: the task's credentials
    (Ipv4Addr::new(169, 254, 170, 23), 32, Range::Metadata),  // AWS EKS: the pod's credentials
    (Ipv4Addr::new(169, 254, 42, 42), 32, Range::Metadata),   // Scaleway
    (Ipv4Addr::new(169, 254, 0, 23), 32, Range::Metadata),    // Tencent
    (Ipv4Addr::new(100, 100, 100, 200), 32, Range::Metadata), // Alibaba
    (Ipv4Addr::new(192, 0, 0, 192), 32, Range::Metadata),     // Oracle, the classic one
    (Ipv4Addr::new(168, 63, 129, 16), 32, Range::Metadata),   // Azure's WireServer, in the midst of public addresses
    (Ipv4Addr::new(0, 0, 0, 0), 32, Range::Unspecified),      // RFC 1122, 3.2.1.3
    (Ipv4Addr::new(0, 0, 0, 0), 8, Range::ThisNetwork),       // RFC 791, 3.2
    (Ipv4Addr::new(10, 0, 0, 0), 8, Range::Private),          // RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10, Range::Shared),        // RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8, Range::Loopback),        // RFC 1122, 3.2.1.3
    (Ipv4Addr::new(169, 254, 0, 0), 16, Range::LinkLocal),    // RFC 3927
    (Ipv4Addr::new(172, 16, 0, 0), 12, Range::Private),       // RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24, Range::Protocol),       // RFC 6890, 2.1
    (Ipv4Addr::new(192, 0, 2, 0), 24, Range::Documentation),  // RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24, Range::Relay),        // RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16, Range::Private),      // RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15, Range::Benchmarking),  // RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24, Range::Documentation), // RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24, Range::Documentation), // RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4, Range::Multicast),       // RFC 5771
    (Ipv4Addr::new(255, 255, 255, 255), 32, Range::Broadcast), // RFC 919
    (Ipv4Addr::new(240, 0, 0, 0), 4, Range::Reserved),        // RFC 1112, 4
];

/// As [`V4`]. What holds an IPv4 address is not here but in [`embedded`].
const V6: &[(Ipv6Addr, u32, Range)] = &[
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, Range::Metadata), // AWS
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, Range::Metadata),  // AWS EKS: the pod's credentials
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Range::Metadata),  // Google
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, Range::Metadata),   // Scaleway
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, Range::Metadata), // OpenStack
    (Ipv6Addr::UNSPECIFIED, 128, Range::Unspecified),                           // RFC 4291, 2.5.2
    (Ipv6Addr::LOCALHOST, 128, Range::Loopback),                                // RFC 4291, 2.5.3
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Range::Discard),            // RFC 6666
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, Range::Discard),            // RFC 9780, a prefix for dummies
    (Ipv6Addr::new(0x2001, 0x2, 0, 0, 0, 0, 0, 0), 48, Range::Benchmarking),    // RFC 5180
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Range::Protocol), // RFC 2928; with Teredo (RFC 4380), ORCHID (RFC 7343)
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Range::Documentation), // RFC 3849
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Range::Documentation), // RFC 9637
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Range::Segments), // RFC 9602
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Range::Private),   // RFC 4193
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Range::LinkLocal), // RFC 4291, 2.5.6
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Range::Private),  // RFC 3879, the site-local ones of before
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Range::Multicast), // RFC 4291, 2.7
];

/// The range for which an outside host's address is refused; `None`: it is a public one.
pub fn forbidden(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<Range> {
    let inside = |network: Ipv4Addr, length| (network.to_bits() ^ address.to_bits()) >> (u32::BITS - length) == 0;
    V4.iter().find(|&&(network, length, _)| inside(network, length)).map(|&(_, _, range)| range)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<Range> {
    let inside = |network: Ipv6Addr, length| (network.to_bits() ^ address.to_bits()) >> (u128::BITS - length) == 0;
    if let Some(&(_, _, range)) = V6.iter().find(|&&(network, length, _)| inside(network, length)) {
        return Some(range);
    }
    if let Some((inner, otherwise)) = embedded(address) {
        return forbidden_v4(inner).or(otherwise);
    }
    if inside(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48) {
        return Some(local_translation(address));
    }
    // Nothing else is given to anybody: RFC 4291 (2.4), and IANA's registry of the IPv6 address space.
    let global_unicast = inside(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    (!global_unicast).then_some(Range::Reserved)
}

/// The IPv4 address that an IPv6 address leads to, and the range that it is in besides, wherever it leads.
fn embedded(address: Ipv6Addr) -> Option<(Ipv4Addr, Option<Range>)> {
    let bytes = address.octets();
    let at = |start: usize| Ipv4Addr::new(bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] => Some((at(12), None)), // IPv4-mapped: RFC 4291, 2.5.5.2
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some((at(12), None)), // NAT64: RFC 6052, 2.1
        [0x2002, ..] => Some((at(2), None)),                   // 6to4: RFC 3056, 2
        [0, 0, 0, 0, 0, 0, _, _] => Some((at(12), Some(Range::Reserved))), // IPv4-compatible, retired: RFC 4291, 2.5.5.1
        [0, 0, 0, 0, 0xffff, 0, _, _] => Some((at(12), Some(Range::Reserved))), // IPv4-translated: RFC 2765, 2.1
        _ => None,
    }
}

/// 64:ff9b:1::/48, the NAT64 prefix for local use (RFC 8215). Its network decides how it holds an IPv4 address, in one of the layouts of
/// RFC 6052 (2.2). It is private in any case; if one of the layouts leads to a metadata service, it is taken for that.
fn local_translation(address: Ipv6Addr) -> Range {
    let b = address.octets();
    let layouts = [
        [b[6], b[7], b[9], b[10]],
        [b[7], b[9], b[10], b[11]],
        [b[9], b[10], b[11], b[12]],
        [b[12], b[13], b[14], b[15]],
    ];
    let leads_to_metadata = |inner: [u8; 4]| forbidden_v4(inner.into()) == Some(Range::Metadata);
    if layouts.into_iter().any(leads_to_metadata) { Range::Metadata } else { Range::Private }
}
