//! The ranges of addresses that are not the public internet.
//!
//! The tables follow the IANA registries of special-purpose addresses (RFC 6890 and its successors), and add the
//! addresses that clouds use. They are strict: a block is forbidden as a whole, even if a few of its addresses are
//! reachable for the protocols of the internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The range of an address that is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// The metadata service of a cloud: it gives the machine's credentials to any client.
    Metadata,
    /// No address. On Linux, a connection to it goes to the machine itself.
    Unspecified,
    /// "This host on this network".
    ThisNetwork,
    /// The machine itself.
    Loopback,
    /// Reachable only on the same link.
    LinkLocal,
    /// A private network.
    Private,
    /// Shared between a provider and its customers: carrier-grade NAT.
    Shared,
    /// Reserved for the protocols themselves.
    Protocol,
    /// For examples in documentation.
    Documentation,
    /// For measurements in laboratories.
    Benchmarking,
    /// The retired relay from IPv4 to 6to4.
    Relay,
    /// A group of receivers.
    Multicast,
    /// All receivers of a link.
    Broadcast,
    /// Packets to it are discarded.
    Discard,
    /// Inside a network with segment routing.
    Segments,
    /// Assigned to no one.
    Reserved,
}

impl Range {
    /// The range's name for errors and metrics.
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

/// Network, length of its prefix in bits, range. The first network that an address is in decides.
const V4: &[(Ipv4Addr, u32, Range)] = &[
    (Ipv4Addr::new(169, 254, 169, 254), 32, Range::Metadata), // AWS, Azure, Google, Oracle, OpenStack and others
    (Ipv4Addr::new(169, 254, 170, 2), 32, Range::Metadata),   // AWS ECS: the task's credentials
    (Ipv4Addr::new(169, 254, 170, 23), 32, Range::Metadata),  // AWS EKS: the pod's credentials
    (Ipv4Addr::new(169, 254, 42, 42), 32, Range::Metadata),   // Scaleway
    (Ipv4Addr::new(169, 254, 0, 23), 32, Range::Metadata),    // Tencent
    (Ipv4Addr::new(100, 100, 100, 200), 32, Range::Metadata), // Alibaba
    (Ipv4Addr::new(192, 0, 0, 192), 32, Range::Metadata),     // Oracle Classic
    (Ipv4Addr::new(168, 63, 129, 16), 32, Range::Metadata),   // Azure's WireServer, between public addresses
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

/// As [`V4`]. The networks whose addresses hold an IPv4 address are not here but in [`embedded`].
const V6: &[(Ipv6Addr, u32, Range)] = &[
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, Range::Metadata), // AWS
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, Range::Metadata),  // AWS EKS: the pod's credentials
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Range::Metadata),  // Google
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, Range::Metadata),   // Scaleway
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, Range::Metadata), // OpenStack
    (Ipv6Addr::UNSPECIFIED, 128, Range::Unspecified),                           // RFC 4291, 2.5.2
    (Ipv6Addr::LOCALHOST, 128, Range::Loopback),                                // RFC 4291, 2.5.3
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Range::Discard),            // RFC 6666
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, Range::Discard),            // RFC 9780, the dummy prefix
    (Ipv6Addr::new(0x2001, 0x2, 0, 0, 0, 0, 0, 0), 48, Range::Benchmarking),    // RFC 5180
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Range::Protocol), // RFC 2928; Teredo: RFC 4380; ORCHID: RFC 7343
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Range::Documentation), // RFC 3849
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Range::Documentation), // RFC 9637
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Range::Segments), // RFC 9602
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Range::Private),   // RFC 4193
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Range::LinkLocal), // RFC 4291, 2.5.6
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Range::Private),  // RFC 3879, the former site-local addresses
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Range::Multicast), // RFC 4291, 2.7
];

/// The range for which the address of an outside host is refused; `None`: the address is public.
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
    if let Some(EmbeddedV4 { inner, outer }) = embedded(address) {
        return forbidden_v4(inner).or(outer);
    }
    if inside(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48) {
        return Some(local_translation(address));
    }
    // All other addresses are unassigned: RFC 4291 (2.4), and IANA's registry of the IPv6 address space.
    let global_unicast = inside(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    (!global_unicast).then_some(Range::Reserved)
}

/// An IPv4 address inside an IPv6 address.
struct EmbeddedV4 {
    /// The IPv4 address that the IPv6 address leads to.
    inner: Ipv4Addr,
    /// The range of the IPv6 address itself, if it is not public whatever it leads to.
    outer: Option<Range>,
}

/// The IPv4 address that an IPv6 address leads to, if it leads to one.
fn embedded(address: Ipv6Addr) -> Option<EmbeddedV4> {
    let bytes = address.octets();
    let v4_at = |start: usize, outer| {
        let inner = Ipv4Addr::new(bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]);
        Some(EmbeddedV4 { inner, outer })
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] => v4_at(12, None), // IPv4-mapped: RFC 4291, 2.5.5.2
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => v4_at(12, None), // NAT64: RFC 6052, 2.1
        [0x2002, ..] => v4_at(2, None),                   // 6to4: RFC 3056, 2
        [0, 0, 0, 0, 0, 0, _, _] => v4_at(12, Some(Range::Reserved)), // IPv4-compatible, retired: RFC 4291, 2.5.5.1
        [0, 0, 0, 0, 0xffff, 0, _, _] => v4_at(12, Some(Range::Reserved)), // IPv4-translated: RFC 2765, 2.1
        _ => None,
    }
}

/// The range of an address in 64:ff9b:1::/48, the NAT64 prefix for local use (RFC 8215). The network decides how such
/// an address holds an IPv4 address, in one of the layouts of RFC 6052 (2.2). The address is private in any case; if
/// one of the layouts leads to a metadata service, it counts as that.
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
