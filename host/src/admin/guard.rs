//! Which requests are admitted: the checks before every resource.

use super::dashboard;
use super::problem::AdminProblem;
use super::settings::Settings;
use super::token::Token;
use crate::base::HostAndPort;
use http::header::{AUTHORIZATION, AsHeaderName, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use std::net::IpAddr;

/// The checks that a request must pass.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whether the admin listens on loopback. Only this machine can connect then, so a `Host` that is not this
    /// machine's is an attack.
    loopback: bool,
    /// The default port of the scheme that the admin speaks.
    default_port: u16,
    token: Option<Token>,
}

impl Guard {
    pub(super) fn new(settings: Settings) -> Self {
        let default_port = if settings.secure { 443 } else { 80 };
        Self { loopback: settings.address.ip().to_canonical().is_loopback(), default_port, token: settings.token }
    }

    /// Admits the request, or returns why not.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<(), AdminProblem> {
        let host = self.host(request)?;
        check_origin(request.headers(), host)?;
        // An orchestrator's probes have no token, and their answers hold no secret. Nor do the dashboard's files.
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/readyz") || dashboard::PATHS.contains(&path) {
            Ok(())
        } else {
            self.check_token(request.headers())
        }
    }

    /// The authority of the request. On loopback it must be a name of this machine. An attacker can make his page's
    /// name resolve to 127.0.0.1 (DNS rebinding); for the browser the admin is then same-origin with the page, and only
    /// `Host` shows the attack. Beyond loopback the host cannot know its own names, and the token protects it.
    fn host<'a, B>(&self, request: &'a Request<B>) -> Result<Option<HostAndPort<'a>>, AdminProblem> {
        let header = sole(request.headers(), HOST).and_then(|host| HostAndPort::parse(host.to_str().ok()?));
        // An authority in the request target replaces `Host` (RFC 9112, 3.2.2). If the two differ, it is an attack.
        let is_header = |target| header.is_some_and(|header| header.is_same(target, self.default_port));
        let target = request.uri().authority().map(|target| HostAndPort::parse(target.as_str()));
        let agree = target.is_none_or(|target| target.is_some_and(is_header));
        if self.loopback && !(agree && header.is_some_and(is_this_machine)) {
            return Err(AdminProblem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "foreign-host",
                "the admin listens on loopback, and accepts only `localhost` and loopback addresses in the Host \
                 header: check that header",
            ));
        }
        Ok(header)
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), AdminProblem> {
        let admitted = match &self.token {
            Some(token) => bearer(headers).is_some_and(|presented| token.matches(presented)),
            // `config` demands a token beyond loopback. If that check ever fails, no request is admitted.
            None => self.loopback,
        };
        if admitted {
            return Ok(());
        }
        let detail = "the admin demands its token: send `Authorization: Bearer …` with the value of ATOLL_ADMIN_TOKEN";
        Err(AdminProblem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
    }
}

/// Refuses what a browser sends for a page of another origin, with any method: the admin has nothing for such a page.
fn check_origin(headers: &HeaderMap, host: Option<HostAndPort<'_>>) -> Result<(), AdminProblem> {
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let origin = sole(headers, ORIGIN).and_then(|origin| origin.to_str().ok());
    // Only the authority is compared: a proxy may have ended TLS, so the scheme can differ. `null` has no authority and
    // is refused.
    let authority =
        origin.and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    let authority = authority.and_then(HostAndPort::parse);
    // No default port: with another scheme it is another one.
    if authority.is_some_and(|origin| host.is_some_and(|host| host.as_str().eq_ignore_ascii_case(origin.as_str()))) {
        return Ok(());
    }
    Err(AdminProblem::new(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "the admin refuses requests of web pages of another origin",
    ))
}

/// The value of a header that is sent exactly once.
fn sole(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The token of the request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = sole(headers, AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Whether the authority is a name of this machine that no name server can answer for. The port does not matter: a
/// tunnel has its own.
fn is_this_machine(authority: HostAndPort<'_>) -> bool {
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_are_names_of_this_machine() {
        for own in ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "127.1.2.3", "[::1]:80", "[::ffff:127.0.0.1]"] {
            assert!(HostAndPort::parse(own).is_some_and(is_this_machine), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example:9090",
            "127.0.0.1.nip.io",
            "10.0.0.1:9090",
            "0.0.0.0:9090",
            "[::]:9090",
            "a@localhost",
            "localhost:b",
            "localhost:80x",
            "localhost:65536",
            "[::1]x",
            "2130706433",
        ] {
            assert!(!HostAndPort::parse(foreign).is_some_and(is_this_machine), "{foreign}");
        }
    }

    #[test]
    fn a_token_is_one_authorization_header_with_the_bearer_scheme() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(of(&["Bearer abc"]), Some(b"abc".to_vec()));
        assert_eq!(of(&["bearer  abc"]), Some(b"abc".to_vec()));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearerabc"], &["Bearer abc", "Bearer abc"]] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
