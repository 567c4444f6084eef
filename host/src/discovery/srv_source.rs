//! Where the endpoints of a `dns+srv://` address come from: a name of DNS and who is asked for it.

use http::Uri;
use http::uri::Scheme;
use std::net::{IpAddr, SocketAddr};

/// The port of a name server (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;
/// The longest name and the longest label, in characters (RFC 1035, section 2.3.4; 255 octets on the wire).
const LONGEST: (usize, usize) = (253, 63);

/// The SRV records of one name (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvSource {
    /// `_http._tcp.users.internal`, absolute: no search list applies.
    pub name: String,
    /// The name server that is asked; `None`: those of the system.
    pub server: Option<SocketAddr>,
    /// Whether the endpoints speak TLS.
    pub secure: bool,
}

impl SrvSource {
    /// The source that `address` names: `dns+srv://NAME`, or `dns+srv://SERVER/NAME` as RFC 4501 writes it, and
    /// `dns+srv+https` for endpoints with TLS. `None`: the address has another scheme.
    ///
    /// # Errors
    /// What is wrong with an address of these schemes.
    pub fn of(address: &Uri) -> Option<Result<Self, &'static str>> {
        let secure = match address.scheme_str()? {
            "dns+srv" => false,
            "dns+srv+https" => true,
            _ => return None,
        };
        Some(Self::read(address, secure))
    }

    fn read(address: &Uri, secure: bool) -> Result<Self, &'static str> {
        let authority = address.authority().ok_or("names no DNS name")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user or a password");
        }
        if address.query().is_some() {
            return Err("must end after the DNS name, without query");
        }
        let (name, server) = match address.path().trim_start_matches('/') {
            "" => (authority.as_str(), None),
            name => (name, Some(server(authority.as_str()).ok_or("must name its name server by IP address")?)),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if !is_name(&name) {
            return Err("must hold a DNS name of two labels or more, without a port: the records have the ports");
        }
        Ok(Self { name, server, secure })
    }

    /// The scheme of its endpoints.
    pub fn scheme(&self) -> Scheme {
        if self.secure { Scheme::HTTPS } else { Scheme::HTTP }
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let server = text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, DNS_PORT)))?;
    (server.port() > 0).then_some(server)
}

/// Whether `text` is a name of DNS, of two labels or more.
fn is_name(text: &str) -> bool {
    text.contains('.') && is_host(text)
}

/// Whether `text` is the name of a host, of one label or more. Labels of services begin with `_` (RFC 2782).
pub(super) fn is_host(text: &str) -> bool {
    let (longest_name, longest_label) = LONGEST;
    let is_label = |label: &str| {
        (1..=longest_label).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= longest_name && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Result<SrvSource, &'static str>> {
        SrvSource::of(&text.parse().unwrap())
    }

    #[test]
    fn an_address_names_a_dns_name_and_perhaps_its_server() {
        let name = "_http._tcp.users.internal";
        for (text, server, secure) in [
            ("dns+srv://_http._tcp.users.internal", None, false),
            ("dns+srv://_HTTP._tcp.users.internal./", None, false),
            ("dns+srv+https://_http._tcp.users.internal", None, true),
            ("dns+srv://192.0.2.5/_http._tcp.users.internal", Some("192.0.2.5:53"), false),
            ("dns+srv://192.0.2.5:8600/_http._tcp.users.internal", Some("192.0.2.5:8600"), false),
            ("dns+srv://[2001:db8::5]/_http._tcp.users.internal", Some("[2001:db8::5]:53"), false),
            ("dns+srv://[2001:db8::5]:54/_http._tcp.users.internal", Some("[2001:db8::5]:54"), false),
        ] {
            let server = server.map(|server| server.parse().unwrap());
            assert_eq!(read(text), Some(Ok(SrvSource { name: name.into(), server, secure })), "{text}");
        }
        assert_eq!(read("http://users.internal"), None);
    }

    #[test]
    fn a_wrong_address_is_told_why() {
        let long = format!("dns+srv://{}.internal", "a".repeat(64));
        for (text, why) in [
            ("dns+srv://me:pw@users.internal", "user or a password"),
            ("dns+srv://users.internal:80", "without a port"),
            ("dns+srv://users", "two labels"),
            ("dns+srv://users..internal", "two labels"),
            ("dns+srv://ns.internal/users.internal", "by IP address"),
            ("dns+srv://192.0.2.5:0/users.internal", "by IP address"),
            ("dns+srv://192.0.2.5/users.internal/x", "two labels"),
            ("dns+srv://users.internal?a=b", "without query"),
            (&long, "two labels"),
        ] {
            let told = read(text).unwrap().expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
