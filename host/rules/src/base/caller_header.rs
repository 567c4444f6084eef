//! The header fields by which an HTTP service learns who calls, and those by which a client could pretend to be
//! somebody.

use super::identity::Identity;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;

const SUBJECT: HeaderName = HeaderName::from_static("x-atoll-subject");
const SCOPES: HeaderName = HeaderName::from_static("x-atoll-scopes");
const POLICY: HeaderName = HeaderName::from_static("x-atoll-auth-policy");
const PROOF: HeaderName = HeaderName::from_static("x-atoll-auth-proof");
const CLAIMS: HeaderName = HeaderName::from_static("x-atoll-claims");

/// The most bytes of one of these values. Many servers take 8 KiB for all fields of a request together (nginx:
/// `large_client_header_buffers`; Node.js takes 16 KiB).
const LONGEST: usize = 4096;

/// The host's own fields, and those by which proxies that end TLS tell of a client's certificate: a name or, with a
/// `*`, the beginning of names. A service that was written for such a proxy believes them. Nobody may send them: this
/// host is the end of the TLS, and asks for certificates itself.
const CERTIFICATES: [&str; 20] = [
    "x-atoll-subject",
    "x-atoll-scopes",
    "x-atoll-auth-policy",
    "x-atoll-auth-proof",
    "x-atoll-claims",
    // RFC 9440, section 2.
    "client-cert",
    "client-cert-chain",
    // Envoy, "x-forwarded-client-cert".
    "x-forwarded-client-cert",
    // Traefik, PassTLSClientCert: also `-info`.
    "x-forwarded-tls-client-cert*",
    // ingress-nginx, `auth-tls-pass-certificate-to-upstream`: `-cert`, `-verify`, `-subject-dn`, `-issuer-dn`.
    "ssl-client-*",
    // HAProxy's recipes for client certificates: `X-SSL`, `X-SSL-Client-Verify`, `-DN`, `-CN`, `X-SSL-Issuer`.
    "x-ssl",
    "x-ssl-client*",
    "x-ssl-issuer*",
    "x-ssl-cert*",
    // AWS Application Load Balancer, mutual TLS: `-leaf`, `-subject`, …
    "x-amzn-mtls-clientcert*",
    // Google Cloud load balancer, mutual TLS custom headers: `-present`, `-chain-verified`, …
    "x-client-cert*",
    // Azure App Service, TLS mutual authentication.
    "x-arr-clientcert*",
    // Cloudflare, "Forward a client certificate".
    "cf-client-cert-*",
    // Usual in recipes for nginx, whose `proxy_set_header` gives any name.
    "x-client-dn",
    "x-client-verify",
];

/// The fields by which proxies that ask for a login tell who logged in. They are a trusted proxy's word, as
/// `X-Forwarded-For` is; from all others they are dropped.
const LOGINS: [&str; 11] = [
    // AWS Application Load Balancer, OpenID Connect.
    "x-amzn-oidc-*",
    // Google Cloud, Identity-Aware Proxy.
    "x-goog-iap-jwt-assertion",
    "x-goog-authenticated-user-*",
    // Azure App Service and Container Apps, built-in authentication.
    "x-ms-client-principal*",
    // Cloudflare Access.
    "cf-access-jwt-assertion",
    "cf-access-authenticated-user-email",
    // oauth2-proxy: `-user`, `-email`, `-groups`, …
    "x-auth-request-*",
    // Authelia, Authentik and others behind `forward_auth`.
    "remote-user",
    "remote-groups",
    "remote-email",
    "x-remote-user",
];

fn is_named(name: &str, fields: &[&str]) -> bool {
    fields.iter().any(|field| match field.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *field,
    })
}

/// Whether a field of this name says who has logged in at a proxy.
pub fn is_login(name: &str) -> bool {
    is_named(name, &LOGINS)
}

/// Whether a field of this name says who calls, and its sender is not believed.
fn is_claim(name: &str, trusted: bool) -> bool {
    // Most fields of a request begin with other letters, so one comparison decides.
    matches!(name.as_bytes().first(), Some(b'x' | b'c' | b's' | b'r'))
        && (is_named(name, &CERTIFICATES) || (!trusted && is_named(name, &LOGINS)))
}

/// Removes each field by which a sender says who calls. `trusted`: the sender is a trusted proxy, whose word about
/// logins, but not about certificates, is believed.
pub fn remove_claimed_identity(headers: &mut HeaderMap, trusted: bool) {
    if !headers.keys().any(|name| is_claim(name.as_str(), trusted)) {
        return;
    }
    let claimed: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name.as_str(), trusted)).cloned().collect();
    for name in &claimed {
        headers.remove(name);
    }
}

impl Identity {
    /// Adds the fields that tell a service of this host who calls. The fields are those of
    /// `docs/services.md`; a value of more than 4 KiB is left out, never cut: half of a name is another name.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in self.told.get_or_make(|| self.fields()) {
            headers.insert(name, value.clone());
        }
    }

    fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let fields = [
            (SUBJECT, percent_encoded(&self.subject)),
            (POLICY, percent_encoded(&self.policy)),
            (PROOF, self.proof.as_str().to_owned()),
            (SCOPES, self.scope_list()),
            (CLAIMS, URL_SAFE_NO_PAD.encode(&self.claims)),
        ];
        let short = fields.into_iter().filter(|(_, value)| value.len() <= LONGEST);
        short.map(|(name, value)| (name, HeaderValue::try_from(value).expect("visible ASCII and spaces"))).collect()
    }

    /// The scopes with a space between them, as in `scope` of OAuth 2. What is no scope there (RFC 6749, section 3.3)
    /// is left out: a service would read `a b` as two scopes.
    fn scope_list(&self) -> String {
        let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let scopes = self.scopes.iter().filter(|scope| !scope.is_empty() && scope.bytes().all(legal));
        scopes.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// The text with each byte that is not visible ASCII, and each `%`, in the form `%20` (RFC 3986, section 2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes all that is written");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{IdentityFields, ProofKind};
    use proptest::prelude::*;

    fn identity(subject: &str, scopes: &[&str], claims: &str) -> Identity {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let (subject, policy, claims) = (subject.into(), "staff".into(), claims.into());
        Identity { subject, policy, proof: ProofKind::Token, scopes, claims, told: IdentityFields::default() }
    }

    fn written(identity: &Identity) -> HeaderMap {
        let mut headers = HeaderMap::new();
        identity.write_headers(&mut headers);
        headers
    }

    #[test]
    fn what_says_who_calls_is_removed_and_nothing_else() {
        let claimed = [
            "x-atoll-subject",
            "X-Atoll-Claims",
            "X-Forwarded-Client-Cert",
            "X-Forwarded-Tls-Client-Cert-Info",
            "SSL-Client-Subject-DN",
            "X-SSL-Client-CN",
            "X-Amzn-Mtls-Clientcert-Leaf",
            "X-Client-Cert-Present",
            "Client-Cert",
        ];
        let logins = ["Remote-User", "X-Auth-Request-Email"];
        let kept = ["x-atoll-depth", "x-atoll-timeout-ms", "x-request-id", "client-certainly", "cookie", "referer"];
        let named = |name: &&str| (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from(1));
        for trusted in [false, true] {
            let mut headers: HeaderMap = claimed.iter().chain(&logins).chain(&kept).map(named).collect();
            headers.append("x-atoll-subject", HeaderValue::from(2));
            remove_claimed_identity(&mut headers, trusted);
            let mut left: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
            left.sort_unstable();
            let logins = logins.iter().filter(|_| trusted).map(|name| name.to_ascii_lowercase());
            let mut expected: Vec<_> = kept.iter().map(|name| (*name).to_owned()).chain(logins).collect();
            expected.sort_unstable();
            assert_eq!(left, expected);
        }
    }

    #[test]
    fn every_field_that_the_host_writes_is_one_that_it_removes() {
        let mut headers = written(&identity("ada", &["a"], "{}"));
        assert_eq!(headers.len(), 5);
        remove_claimed_identity(&mut headers, true);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_value_has_no_character_that_a_reader_could_misread() {
        let cases = [
            ("ada", "ada"),
            ("CN=Ada, O=Shop", "CN=Ada,%20O=Shop"),
            ("a\r\nx: y", "a%0D%0Ax:%20y"),
            ("100%", "100%25"),
            ("é", "%C3%A9"),
        ];
        for (subject, encoded) in cases {
            assert_eq!(written(&identity(subject, &[], "{}"))[SUBJECT], encoded);
        }
        let headers = written(&identity("a", &["orders:read", "a b", "", "é", "q\"", "users:write"], r#"{"a":1}"#));
        assert_eq!(headers[SCOPES], "orders:read users:write");
        assert_eq!(headers[CLAIMS], "eyJhIjoxfQ");
    }

    #[test]
    fn a_value_that_is_too_long_is_left_out_whole() {
        let headers = written(&identity(&"a".repeat(LONGEST), &[], &"x".repeat(LONGEST)));
        assert_eq!((headers.get(SUBJECT).map(HeaderValue::len), headers.get(CLAIMS)), (Some(LONGEST), None));
        assert!(written(&identity(&"é".repeat(LONGEST), &[], "{}")).get(SUBJECT).is_none());
    }

    proptest! {
        /// Property: two subjects never have one encoded form, and it is visible ASCII.
        #[test]
        fn a_subject_can_be_read_back(subject in ".{0,40}") {
            let encoded = percent_encoded(&subject);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            let mut bytes = Vec::new();
            let mut rest = encoded.as_bytes();
            while let Some((&first, after)) = rest.split_first() {
                if first == b'%' {
                    let digits = std::str::from_utf8(&after[..2]).expect("ASCII");
                    bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
                    rest = &after[2..];
                } else {
                    bytes.push(first);
                    rest = after;
                }
            }
            prop_assert_eq!(String::from_utf8(bytes).expect("UTF-8"), subject);
        }
    }
}
