//! `websocket` of `[[route]]`: whether and how a route passes WebSockets on.

use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, FlagKind, KindError, ListKind, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR};
use super::reader::section::Section;
use super::service::ServiceConfig;
use crate::gateway::WebSocketSettings;
use http::Uri;
use toml::Spanned;
use toml::de::DeValue;

/// An origin as browsers send it (RFC 6454, section 6.2): a scheme, a host, and a port unless it is the scheme's own.
struct OriginKind;

impl ValueKind for OriginKind {
    type Value = String;

    fn accepts(&self) -> String {
        "an origin, such as \"https://shop.example\"".into()
    }

    fn help(&self) -> String {
        "write scheme, host and perhaps a port, without a path: \"https://shop.example\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| is_origin(text));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let is_default =
        matches!((uri.scheme_str(), uri.port_u16()), (Some("http"), Some(80)) | (Some("https"), Some(443)));
    let spelt = uri.scheme_str().map(|scheme| format!("{scheme}://{authority}"));
    !authority.is_empty() && !authority.contains('@') && !is_default && spelt.as_deref() == Some(text)
}

static WEBSOCKET: ManifestKey<FlagKind> = ManifestKey::new(
    "websocket",
    FlagKind,
    "false",
    "Whether WebSockets are passed on to the service, which then must have `urls` and no component. Otherwise a \
     handshake is answered with 501.",
);
static ORIGINS: ManifestKey<ListKind<OriginKind>> = ManifestKey::without_default(
    "websocket_origins",
    ListKind { of: OriginKind, max: 64 },
    "The origins whose pages may open a WebSocket; others are answered with 403. A handshake without `Origin` comes \
     from no browser, and passes. Absent: every origin.",
);
static IDLE: ManifestKey<DurationKind> = ManifestKey::new(
    "websocket_idle",
    DurationKind { min: 100, max: 24 * HOUR },
    r#""5m""#,
    "How long a WebSocket may be without a byte in either direction, or an end may leave what is ready for it. Then it \
     is closed.",
);
static CONNECTIONS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "websocket_connections",
    CountKind { min: 1, max: 1_000_000 },
    "5000",
    "The largest number of WebSockets of this route that are open at the same time. A further handshake is answered \
     with 503. Each also counts among `connections` of `[gateway]`.",
);

/// How the route passes WebSockets on; `None`: not at all.
pub(super) fn read(section: &mut Section<'_>, service: Option<&ServiceConfig>) -> Option<WebSocketSettings> {
    let wanted = section.get_sourced(&WEBSOCKET);
    let settings = WebSocketSettings {
        origins: section.find(&ORIGINS).map(|found| found.value.into_iter().map(Spanned::into_inner).collect()),
        idle: section.get(&IDLE),
        connections: usize::try_from(section.get(&CONNECTIONS)).expect("at most a million"),
    };
    let report = section.report;
    if !wanted.value {
        if let Some((name, span)) = section.first_of(&[ORIGINS.name, IDLE.name, CONNECTIONS.name]) {
            let origin = super::reader::finding::ValueOrigin::Text(span);
            report.push(origin, format!("`{name}` has no effect without `websocket`"), "add websocket = true");
        }
        return None;
    }
    if service.is_some_and(|service| service.component.is_some()) {
        let help = "a component cannot take a WebSocket: name a service that has `urls` alone";
        report.push(wanted.origin, "`websocket` needs a service without a component", help);
    }
    if service.is_some_and(|service| service.spec.addresses.dial.http2) {
        let help = "a WebSocket needs HTTP/1.1: leave `http2` of the service out, or name another service";
        report.push(section.get_sourced(&WEBSOCKET).origin, "`websocket` needs a service without `http2`", help);
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_is_spelt_as_browsers_spell_it() {
        for good in ["https://shop.example", "http://localhost:3000", "https://[::1]:8443", "app://shop"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["shop.example", "https://shop.example/", "https://shop.example:443", "https://u@a", "null", "*"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
