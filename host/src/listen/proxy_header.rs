//! The header of the PROXY protocol, with which a proxy says whose connection it passes on. The sections named below
//! are those of HAProxy's `proxy-protocol.txt`.
//!
//! It comes before everything else, also before TLS. So not a byte more than the header is read here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end (section 2.1).
const LINE: usize = 107;
/// The most bytes behind the fixed part of version 2: addresses and extensions. Section 2.2 asks proxies to stay below
/// 536 bytes in all.
const EXTENSIONS: u16 = 2048;

/// Reads a header, and returns whose connection it is; `None` if it is the proxy's own, such as a health check, or of a
/// kind that has no such address.
///
/// # Errors
/// It ends, or is no such header.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut begin = [0; SIGNATURE.len()];
    stream.read_exact(&mut begin).await?;
    if begin == *SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [command, family, length @ ..] = fixed;
        let length = u16::from_be_bytes(length);
        if length > EXTENSIONS {
            return Err(bad("it is too long"));
        }
        let mut rest = vec![0; length.into()];
        stream.read_exact(&mut rest).await?;
        return of_version_2(command, family, &rest).ok_or_else(|| bad("it is malformed"));
    }
    let mut line = begin.to_vec();
    // No line is shorter than what was read, and it is short: byte for byte, since what follows is not ours.
    while line.starts_with(b"PROXY ") && !line.ends_with(b"\r\n") && line.len() < LINE {
        line.push(stream.read_u8().await?);
    }
    of_version_1(&line).ok_or_else(|| bad("it is malformed"))
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no header of the PROXY protocol: {why}"))
}

/// A whole line (section 2.1). `None`: it is malformed.
fn of_version_1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        // What follows is to be ignored.
        return Some(None);
    }
    let (source, destination): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (port, _) = (number(words.next()?)?, number(words.next()?)?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some(Some(SocketAddr::new(source, port)))
}

/// A port in decimal, without signs and leading zeros.
fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// The parts of a whole header (section 2.2). `None`: it is malformed.
fn of_version_2(command: u8, family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    match command {
        // LOCAL: the proxy's own connection.
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    // Addresses and ports of both ends, then extensions, which are not read.
    match family {
        0x11 => {
            let address: [u8; 4] = rest.get(..4)?.try_into().ok()?;
            let port: [u8; 2] = rest.get(..12)?[8..10].try_into().ok()?;
            Some(Some((Ipv4Addr::from(address), u16::from_be_bytes(port)).into()))
        }
        0x21 => {
            let address: [u8; 16] = rest.get(..16)?.try_into().ok()?;
            let port: [u8; 2] = rest.get(..36)?[32..34].try_into().ok()?;
            Some(Some((Ipv6Addr::from(address), u16::from_be_bytes(port)).into()))
        }
        // Unspecified, datagrams, Unix sockets: known families, and no TCP.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is read of `bytes`, and how much of them.
    fn read(bytes: &[u8]) -> (Option<Option<SocketAddr>>, usize) {
        let mut left = bytes;
        let outcome = futures_util::FutureExt::now_or_never(receive(&mut left)).expect("a slice never waits");
        (outcome.ok(), bytes.len() - left.len())
    }

    fn version_2(source: SocketAddr, extensions: &[u8]) -> Vec<u8> {
        let mut rest = Vec::new();
        let family = match source.ip() {
            IpAddr::V4(ip) => {
                rest.extend([ip.octets(), [192, 0, 2, 1]].concat());
                0x11
            }
            IpAddr::V6(ip) => {
                rest.extend([ip.octets(), ip.octets()].concat());
                0x21
            }
        };
        rest.extend([source.port().to_be_bytes(), 443_u16.to_be_bytes()].concat());
        rest.extend(extensions);
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[0x21, family], &length, &rest].concat()
    }

    proptest! {
        #[test]
        fn a_header_is_read_and_not_a_byte_more(
            ip in any::<IpAddr>(), port in any::<u16>(), extensions in prop::collection::vec(any::<u8>(), 0..100),
            after in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let source = SocketAddr::new(ip, port);
            let (family, other) = if ip.is_ipv4() { ("TCP4", "192.0.2.1") } else { ("TCP6", "2001:db8::1") };
            let line = format!("PROXY {family} {ip} {other} {port} 443\r\n").into_bytes();
            for header in [line, version_2(source, &extensions)] {
                let whole = [&header[..], &after].concat();
                prop_assert_eq!(read(&whole), (Some(Some(source)), header.len()));
                prop_assert_eq!(read(&header[..header.len() - 1]).0, None);
            }
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..3) {
            let begin: [&[u8]; 3] = [b"", SIGNATURE, b"PROXY TCP4 "];
            let whole = [begin[at], &bytes].concat();
            prop_assert!(read(&whole).1 <= whole.len());
        }
    }

    #[test]
    fn headers_of_other_kinds() {
        let local = [&SIGNATURE[..], &[0x20, 0, 0, 3, 1, 2, 3]].concat();
        let unix = [&SIGNATURE[..], &[0x21, 0x31, 0, 0]].concat();
        for (header, expected) in [
            (&b"PROXY UNKNOWN\r\n"[..], Some(None)),
            (b"PROXY UNKNOWN ffff::1 what ever\r\n", Some(None)),
            (&local, Some(None)),
            (&unix, Some(None)),
            (b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", None),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", None),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", None),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", None),
            (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", None),
            (b"GET / HTTP/1.1\r\n", None),
            (&[&SIGNATURE[..], &[0x11, 0x11, 0, 0]].concat(), None),
            (&[&SIGNATURE[..], &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat(), None),
            (&[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(), None),
        ] {
            assert_eq!(read(header).0, expected, "{}", header.escape_ascii());
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 500]].concat();
        assert_eq!(read(&endless), (None, LINE));
    }
}
