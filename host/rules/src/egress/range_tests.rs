//! The tests of the ranges: each network from its first to its last address, and every form of an IPv4 address inside
//! an IPv6 address.

use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The networks as texts, written down from the registries and not from the tables. The first network that an address
/// is in decides.
const NETWORKS: &[(&str, &str)] = &[
    ("169.254.169.254/32", "cloud metadata"),
    ("169.254.170.2/32", "cloud metadata"),
    ("169.254.170.23/32", "cloud metadata"),
    ("169.254.42.42/32", "cloud metadata"),
    ("169.254.0.23/32", "cloud metadata"),
    ("100.100.100.200/32", "cloud metadata"),
    ("192.0.0.192/32", "cloud metadata"),
    ("168.63.129.16/32", "cloud metadata"),
    ("0.0.0.0/32", "unspecified"),
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
    ("fd00:ec2::254/128", "cloud metadata"),
    ("fd00:ec2::23/128", "cloud metadata"),
    ("fd20:ce::254/128", "cloud metadata"),
    ("fd00:42::42/128", "cloud metadata"),
    ("fe80::a9fe:a9fe/128", "cloud metadata"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("100::/64", "discard-only"),
    ("100:0:0:1::/64", "discard-only"),
    ("2001:2::/48", "benchmarking"),
    ("2001::/23", "protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
];

/// The bits of an address as a text of `0` and `1`.
fn binary(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.octets().map(|byte| format!("{byte:08b}")).concat(),
        IpAddr::V6(address) => address.octets().map(|byte| format!("{byte:08b}")).concat(),
    }
}

fn parse(network: &str) -> (IpAddr, usize) {
    let (address, length) = network.split_once('/').expect("a network");
    (address.parse().expect("an address"), length.parse().expect("a length"))
}

/// The range by its definition: the first network whose leading bits the address has. It ignores addresses inside an
/// address.
fn listed(address: IpAddr) -> Option<&'static str> {
    let bits = binary(address);
    let inside = |network: &str| {
        let (base, length) = parse(network);
        base.is_ipv4() == address.is_ipv4() && binary(base)[..length] == bits[..length]
    };
    NETWORKS.iter().find(|(network, _)| inside(network)).map(|&(_, range)| range)
}

fn range(address: impl Into<IpAddr>) -> Option<&'static str> {
    forbidden(address.into()).map(Range::as_str)
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect(text)
}

/// IPv6 addresses that lead to an IPv4 address, and are public if that address is.
fn leading_to(inner: Ipv4Addr) -> [Ipv6Addr; 3] {
    let bits = u128::from(inner.to_bits());
    [
        inner.to_ipv6_mapped(),
        Ipv6Addr::from_bits(v6("64:ff9b::").to_bits() | bits),
        Ipv6Addr::from_bits(v6("2002:0:0:1::1").to_bits() | bits << 80),
    ]
}

/// Addresses of every listed network: the first and the last one, the ones just outside, and one in between.
fn edges() -> impl Iterator<Item = IpAddr> {
    NETWORKS.iter().flat_map(|(network, _)| match parse(network) {
        (IpAddr::V4(base), length) => {
            let size = 1_u64 << (32 - length);
            let first = base.to_bits();
            let last = first.wrapping_add(u32::try_from(size - 1).expect("32 bits"));
            let middle = first.wrapping_add(u32::try_from(size / 2).expect("32 bits"));
            let edges = [first.wrapping_sub(1), first, middle, last, last.wrapping_add(1)];
            edges.map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)))
        }
        (IpAddr::V6(base), length) => {
            let first = base.to_bits();
            let last = first | u128::MAX.checked_shr(u32::try_from(length).expect("small")).unwrap_or(0);
            let middle = first + (last - first) / 2;
            let edges = [first.wrapping_sub(1), first, middle, last, last.wrapping_add(1)];
            edges.map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)))
        }
    })
}

/// The range by its definition, also for an IPv6 address that holds an IPv4 address, and for unassigned addresses.
fn wanted(address: IpAddr) -> Option<&'static str> {
    let IpAddr::V6(outer) = address else { return listed(address) };
    let bits = binary(address);
    let holds = |prefix: &str, length: usize| binary(v6(prefix).into())[..length] == bits[..length];
    let inner = |at: usize| Ipv4Addr::from_bits(u32::from_str_radix(&bits[at..at + 32], 2).expect("32 bits"));
    if let Some(range) = listed(address) {
        return Some(range);
    }
    if holds("::ffff:0:0", 96) || holds("64:ff9b::", 96) {
        return listed(inner(96).into());
    }
    if holds("2002::", 16) {
        return listed(inner(16).into());
    }
    if holds("::", 96) || holds("::ffff:0:0:0", 96) {
        return listed(inner(96).into()).or(Some("reserved"));
    }
    if holds("64:ff9b:1::", 48) {
        return Some("private");
    }
    (!matches!(outer.segments()[0], 0x2000..=0x3fff)).then_some("reserved")
}

#[test]
fn every_network_is_forbidden_from_its_first_to_its_last_address() {
    for address in edges() {
        assert_eq!(range(address), wanted(address), "{address}");
        if let IpAddr::V4(inner) = address {
            for outer in leading_to(inner) {
                assert_eq!(range(outer), listed(address), "{outer} leads to {inner}");
            }
        }
    }
}

#[test]
fn addresses_outside_of_every_network_are_public() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.31.196.1",
        "192.52.193.1",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.48.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2000::",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2606:4700::1111",
        "2620:4f:8000::1",
        "3fff:1000::",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ] {
        let address: IpAddr = address.parse().expect(address);
        assert_eq!(range(address), None, "{address}");
    }
}

#[test]
fn an_ipv4_address_inside_an_ipv6_address_decides_its_range() {
    for (address, name) in [
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "cloud metadata"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::a9fe:a9fe", "cloud metadata"),
        ("2002:7f00:1::1", "loopback"),
        ("2002:a9fe:a9fe::", "cloud metadata"),
        ("::127.0.0.1", "loopback"),
        ("::8.8.8.8", "reserved"),
        ("::2", "this network"),
        ("::ffff:0:169.254.169.254", "cloud metadata"),
        ("::ffff:0:8.8.8.8", "reserved"),
        ("::fffe:8.8.8.8", "reserved"),
        ("64:ff9b:1::8.8.8.8", "private"),
        ("64:ff9b:2::8.8.8.8", "reserved"),
        ("64:ff9b:0:1::8.8.8.8", "reserved"),
        // RFC 6052, 2.2: the layouts for prefixes of 48, 56, 64 and 96 bits, with 169.254.169.254 in them.
        ("64:ff9b:1:a9fe:a9:fe00::", "cloud metadata"),
        ("64:ff9b:1:cca9:fe:a9fe::", "cloud metadata"),
        ("64:ff9b:1:cccc:a9:fea9:fe00:0", "cloud metadata"),
        ("64:ff9b:1:cccc::169.254.169.254", "cloud metadata"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "protocol assignments"),
        ("2001:20::1", "protocol assignments"),
        ("1fff::1", "reserved"),
        ("4000::1", "reserved"),
        ("fe00::1", "reserved"),
        ("fec0::1", "private"),
    ] {
        assert_eq!(range(v6(address)), Some(name), "{address}");
    }
}

#[test]
fn a_range_displays_its_name() {
    assert_eq!(Range::Metadata.to_string(), "cloud metadata");
    assert_eq!(Range::Shared.to_string(), "carrier-grade NAT");
}

proptest! {
    /// Property: an IPv4 address, by itself or inside an IPv6 address, has the range that the list gives it.
    #[test]
    fn ipv4_addresses_have_the_range_of_the_list(bits in any::<u32>()) {
        let inner = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(range(inner), listed(inner.into()), "{}", inner);
        for outer in leading_to(inner) {
            prop_assert_eq!(range(outer), listed(inner.into()), "{}", outer);
        }
        // No address that the standard library calls special is public.
        let known = inner.is_private() || inner.is_loopback() || inner.is_link_local() || inner.is_broadcast()
            || inner.is_documentation() || inner.is_multicast() || inner.is_unspecified();
        prop_assert!(!known || range(inner).is_some(), "{}", inner);
    }

    /// Property: an IPv6 address has the range of the definition. Random addresses are seldom special, so most of
    /// these share their first bits with a special one.
    #[test]
    fn ipv6_addresses_have_the_range_of_the_definition(
        network in prop::sample::select(NETWORKS),
        special in prop::sample::select(
            &["::ffff:0:0", "64:ff9b::", "2002::", "::ffff:0:0:0", "64:ff9b:1::", "2000::"]
        ),
        use_special in any::<bool>(),
        kept in 0..=128_u32,
        noise in any::<u128>(),
    ) {
        let base = match parse(network.0).0 {
            IpAddr::V6(base) if !use_special => base,
            _ => v6(special),
        };
        let mask = u128::MAX.checked_shr(kept).unwrap_or(0);
        let address = Ipv6Addr::from_bits(base.to_bits() & !mask | noise & mask);
        let (real, wanted) = (range(address), wanted(address.into()));
        // In the local NAT64 prefix, the layouts of RFC 6052 may hold a metadata address; another test has these.
        let is_local_nat64 = address.segments()[..3] == [0x64, 0xff9b, 1];
        let hidden = is_local_nat64 && real == Some("cloud metadata") && wanted == Some("private");
        prop_assert!(real == wanted || hidden, "{}: {:?} instead of {:?}", address, real, wanted);
        let known = address.is_loopback() || address.is_multicast() || address.is_unspecified()
            || address.is_unique_local() || address.is_unicast_link_local();
        prop_assert!(!known || real.is_some(), "{}", address);
    }
}
