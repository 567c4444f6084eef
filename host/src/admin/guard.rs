//! Which requests are admitted: the checks before every resource.

use super::problem::AdminProblem;
use super::settings::Settings;
use super::token::Token;
use http::header::{AUTHORIZATION, AsHeaderName, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use std::net::IpAddr;

/// The checks that a request must pass.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whether the admin listens on loopback. Only this machine can connect then, so a `Host` that is not this
    /// machine's is an attack.
    loopback: bool,
    token: Option<Token>,
}

impl Guard {
    pub(super) fn new(settings: Settings) -> Self {
        Self { loopback: settings.address.ip().to_canonical().is_loopback(), token: settings.token }
    }

    /// Admits the request, or returns why not.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<(), AdminProblem> {
        let host = self.host(request)?;
        check_origin(request.headers(), host.as_ref())?;
        // An orchestrator's probes have no token, and their answers hold no secret.
        if matches!(request.uri().path(), "/healthz" | "/readyz") {
            Ok(())
        } else {
            self.check_token(request.headers())
        }
    }

    /// The authority of the request. On loopback it must be a name of this machine. An attacker can make his page's
    /// name resolve to 127.0.0.1 (DNS rebinding); for the browser the admin is then same-origin with the page, and only
    /// `Host` shows the attack. Beyond loopback the host cannot know its own names, and the token protects it.
    fn host<B>(&self, request: &Request<B>) -> Result<Option<Authority>, AdminProblem> {
        let header = sole(request.headers(), HOST).and_then(|value| Authority::try_from(value.as_bytes()).ok());
        // An authority in the request target replaces `Host` (RFC 9112, 3.2.2). If the two differ, it is an attack.
        let agree = request.uri().authority().is_none_or(|target| header.as_ref() == Some(target));
        if self.loopback && !(agree && header.as_ref().is_some_and(is_this_machine)) {
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
fn check_origin(headers: &HeaderMap, host: Option<&Authority>) -> Result<(), AdminProblem> {
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let origin = sole(headers, ORIGIN).and_then(|origin| origin.to_str().ok());
    // Only the authority is compared: a proxy may have ended TLS, so the scheme can differ. `null` has no authority and
    // is refused.
    let authority =
        origin.and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    let authority = authority.and_then(|text| text.parse::<Authority>().ok());
    if authority.is_some() && authority.as_ref() == host {
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
fn is_this_machine(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>();
    let known = host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.to_canonical().is_loopback());
    known && !authority.as_str().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_are_names_of_this_machine() {
        for own in ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "127.1.2.3", "[::1]:80", "[::ffff:127.0.0.1]"] {
            assert!(is_this_machine(&Authority::from_static(own)), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example:9090",
            "127.0.0.1.nip.io",
            "10.0.0.1:9090",
            "0.0.0.0:9090",
            "[::]:9090",
            "a@localhost",
            "2130706433",
        ] {
            assert!(!is_this_machine(&Authority::from_static(foreign)), "{foreign}");
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
