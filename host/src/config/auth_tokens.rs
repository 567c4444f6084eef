//! The keys of `[auth.NAME]` for tokens: what they must be, and where the issuer has its keys and answers questions.

use super::reader::file::{PathKind, RequiredPath};
use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{ChoiceKind, KindError, ListKind, TextKind, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR, MINUTE};
use super::reader::section::Section;
use super::secret::{self, SecretKind, SecretText};
use crate::identity::{TokenAlgorithm as Algorithm, TokenPolicy, TokenSecret};
use http::Uri;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// Where the keys of an issuer are.
#[derive(Debug, Clone)]
pub enum TokenKeyPlace {
    /// A secret that the issuer shares.
    Secret(TokenSecret),
    /// A JWK set in this file.
    File(PathBuf),
    /// A JWK set at this address, fetched again after this time.
    Address(IssuerAddress, Duration),
}

/// An address of an issuer.
#[derive(Debug, Clone)]
pub struct IssuerAddress {
    /// `https`, or `http` to this machine.
    pub uri: Uri,
    /// The file of the root certificates that are trusted there; `None`: those of the system.
    pub ca: Option<PathBuf>,
}

static AUDIENCE: ManifestKey<ListKind<TextKind>> = ManifestKey::without_default(
    "audience",
    ListKind { of: TextKind { min: 1 }, max: 16 },
    "The names of this API: `aud` has one of them. `jwt` needs it.",
);
static ALGORITHMS: ManifestKey<ListKind<ChoiceKind<Algorithm>>> = ManifestKey::without_default(
    "algorithms",
    ListKind { of: ChoiceKind(&NAMES), max: NAMES.len() },
    "The algorithms that the issuer signs with. Tokens of all others are refused, whatever their keys are. `jwt` needs \
     it.",
);
static JWKS: ManifestKey<KeyPlaceKind> = ManifestKey::without_default(
    "jwks",
    KeyPlaceKind,
    "The public keys of the issuer, as a JWK set: a file, which is read again when it changes, or an address. `jwt` \
     needs it, or `secret`.",
);
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "The root certificates, in PEM, that are trusted at the address of `jwks` or `endpoint`. Absent: those of the \
     system.",
);
static SECRET: ManifestKey<SecretKind> = ManifestKey::without_default(
    "secret",
    SecretKind,
    "The secret that the issuer shares, for HS256, HS384 and HS512: at least as long as the hash, 32, 48 or 64 bytes.",
);
static TYP: ManifestKey<TextKind> = ManifestKey::without_default(
    "typ",
    TextKind { min: 1 },
    "The one value of `typ` in the header: `\"at+jwt\"` for access tokens of RFC 9068. Absent: any.",
);
static LEEWAY: ManifestKey<DurationKind> = ManifestKey::new(
    "leeway",
    DurationKind { min: 0, max: 10 * MINUTE },
    r#""60s""#,
    "How far the issuer's clock may be off, for `exp`, `nbf` and `iat`.",
);
static REFRESH: ManifestKey<DurationKind> = ManifestKey::new(
    "refresh",
    DurationKind { min: 1000, max: 24 * HOUR },
    r#""10m""#,
    "After which time the keys at an address are fetched again. A token with an unknown `kid` fetches them at once, \
     but once in 30 s.",
);
static ENDPOINT: ManifestKey<IssuerAddressKind> = ManifestKey::without_default(
    "endpoint",
    IssuerAddressKind,
    "Where the issuer is asked about tokens (RFC 7662). `introspection` needs it.",
);
static CLIENT_ID: ManifestKey<TextKind> = ManifestKey::without_default(
    "client_id",
    TextKind { min: 1 },
    "Who this host is for the issuer. `introspection` needs it.",
);
static CLIENT_SECRET: ManifestKey<SecretKind> = ManifestKey::without_default(
    "client_secret",
    SecretKind,
    "What proves it, by HTTP Basic. `introspection` needs it.",
);

const NAMES: [(&str, Algorithm); 13] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::Ed25519),
    ("Ed25519", Algorithm::Ed25519),
    ("HS256", Algorithm::Hs256),
    ("HS384", Algorithm::Hs384),
    ("HS512", Algorithm::Hs512),
];

/// An address to which secrets may be sent, and whose answers are believed.
struct IssuerAddressKind;

impl ValueKind for IssuerAddressKind {
    type Value = Uri;

    fn accepts(&self) -> String {
        "an https:// address".into()
    }

    fn help(&self) -> String {
        "write https://host/path; http:// is for 127.0.0.1, [::1] and localhost alone, since whoever is between could \
         replace the answer"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Uri, Vec<KindError>> {
        let uri = value.get_ref().as_str().and_then(|text| text.parse::<Uri>().ok());
        uri.filter(is_trusted).ok_or_else(|| refused(self, value))
    }
}

fn is_trusted(uri: &Uri) -> bool {
    let Some(authority) = uri.authority().filter(|authority| !authority.as_str().contains('@')) else { return false };
    let here = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
    match uri.scheme_str() {
        Some("https") => !authority.host().is_empty(),
        Some("http") => here,
        _ => false,
    }
}

/// A file, or an address.
struct KeyPlaceKind;

/// As it is written.
enum KeyPlace {
    File(PathBuf),
    Address(Uri),
}

impl ValueKind for KeyPlaceKind {
    type Value = KeyPlace;

    fn accepts(&self) -> String {
        format!("{} or {}", PathKind.accepts(), IssuerAddressKind.accepts())
    }

    fn help(&self) -> String {
        IssuerAddressKind.help()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<KeyPlace, Vec<KindError>> {
        if value.get_ref().as_str().is_some_and(|text| text.contains("://")) {
            return IssuerAddressKind.read(value).map(KeyPlace::Address);
        }
        PathKind.read(value).map(KeyPlace::File).map_err(|_| refused(self, value))
    }
}

/// The keys of a policy of signed tokens, as they are written.
pub(super) struct TokenKeywords {
    pub(super) audience: Vec<String>,
    algorithms: Option<Sourced<Vec<Spanned<Algorithm>>>>,
    place: Option<TokenKeyPlace>,
    secret: Option<Sourced<SecretText>>,
    typ: Option<String>,
    leeway: Duration,
}

impl TokenKeywords {
    pub(super) fn read(
        section: &mut Section<'_>,
        ca: Option<PathBuf>,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let audience = section.find(&AUDIENCE).map(|found| found.value).unwrap_or_default();
        let refresh = section.get(&REFRESH);
        let place = section.find(&JWKS).map(|Sourced { value, origin }| match value {
            KeyPlace::Address(uri) => TokenKeyPlace::Address(IssuerAddress { uri, ca: ca.clone() }, refresh),
            KeyPlace::File(path) => {
                let file = RequiredPath {
                    name: "the key set",
                    is_folder: false,
                    wrong_type_help: "name a file with a JWK set",
                    absent_help: "save the issuer's JWK set there, or name its https:// address",
                };
                TokenKeyPlace::File(file.resolve(&Sourced { value: path, origin }, folder, section.report))
            }
        });
        Self {
            audience: audience.into_iter().map(Spanned::into_inner).collect(),
            algorithms: section.find(&ALGORITHMS),
            place,
            secret: secret::read(section, &SECRET, folder, env),
            typ: section.find(&TYP).map(|found| found.value),
            leeway: section.get(&LEEWAY),
        }
    }

    /// The policy `name` and where its keys are; `None` if something is missing or does not fit, which is reported.
    pub(super) fn policy(
        self,
        name: &str,
        issuer: String,
        section: &Section<'_>,
        kind: &ValueOrigin,
    ) -> Option<(TokenPolicy, TokenKeyPlace)> {
        let report = section.report;
        let written = (!self.audience.is_empty()).then_some(self.audience);
        let audience = need(section, &AUDIENCE, written, kind)?;
        let algorithms = need(section, &ALGORITHMS, self.algorithms.filter(|found| !found.value.is_empty()), kind)?;
        let (algorithms, at): (Vec<_>, _) =
            (algorithms.value.iter().map(|one| *one.get_ref()).collect(), algorithms.origin);
        let symmetric = algorithms.iter().filter(|one| one.is_symmetric()).count();
        let keys = match (self.place, self.secret) {
            (Some(place), None) if symmetric == 0 => place,
            (None, Some(secret)) if symmetric == algorithms.len() => {
                let least = algorithms.iter().map(|one| one.least_secret()).max().unwrap_or_default();
                let own = TokenSecret::new(secret.value.expose());
                if own.length() < least {
                    let message = format!("`secret` has {} bytes, and these algorithms need {least}", own.length());
                    let help = "make one with `openssl rand -hex 32` (RFC 7518, section 3.2)";
                    report.push(secret.origin, message, help);
                }
                TokenKeyPlace::Secret(own)
            }
            (Some(_), None) | (None, Some(_)) => {
                let message = "HS256, HS384 and HS512 go with `secret`, and all others with `jwks`";
                let help = "a policy has one kind of key: whoever knows a public key could sign with it as a secret";
                report.push_if_whole(at, message, help);
                return None;
            }
            (Some(_), Some(secret)) => {
                let help = "leave one of them out";
                report.push_if_whole(secret.origin, "`jwks` and `secret` exclude each other", help);
                return None;
            }
            (None, None) => {
                if section.lacks(JWKS.name) && section.lacks(SECRET.name) {
                    let help = "add jwks = \"https://…\", or secret = { from_env = \"VARIABLE\" }";
                    report.push_if_whole(kind.clone(), "a policy of tokens needs `jwks` or `secret`", help);
                }
                return None;
            }
        };
        let (name, typ, leeway) = (name.to_owned(), self.typ, self.leeway.as_secs());
        Some((TokenPolicy { name, issuer, audience, algorithms, typ, leeway }, keys))
    }
}

/// The keys of the endpoint that is asked, as they are written.
pub(super) struct EndpointKeywords {
    uri: Option<Uri>,
    ca: Option<PathBuf>,
    client_id: Option<String>,
    secret: Option<Sourced<SecretText>>,
}

impl EndpointKeywords {
    pub(super) fn read(
        section: &mut Section<'_>,
        ca: Option<PathBuf>,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            uri: section.find(&ENDPOINT).map(|found| found.value),
            ca,
            client_id: section.find(&CLIENT_ID).map(|found| found.value),
            secret: secret::read(section, &CLIENT_SECRET, folder, env),
        }
    }

    /// The endpoint and the client's name and secret; `None` if one of them is missing, which is reported.
    pub(super) fn complete(
        self,
        section: &Section<'_>,
        kind: &ValueOrigin,
    ) -> Option<(IssuerAddress, (String, SecretText))> {
        let uri = need(section, &ENDPOINT, self.uri, kind)?;
        let id = need(section, &CLIENT_ID, self.client_id, kind)?;
        let secret = need(section, &CLIENT_SECRET, self.secret, kind)?.value;
        Some((IssuerAddress { uri, ca: self.ca }, (id, secret)))
    }
}

/// The value of a key that a policy of this kind needs. If it is absent, that is reported; a wrong one was.
pub(super) fn need<K, T>(
    section: &Section<'_>,
    key: &ManifestKey<K>,
    value: Option<T>,
    kind: &ValueOrigin,
) -> Option<T> {
    if value.is_none() && section.lacks(key.name) {
        let message = format!("a policy of this kind needs `{}`", key.name);
        section.report.push_if_whole(kind.clone(), message, format!("add {} = …", key.name));
    }
    value
}

/// The file of root certificates, for whichever address the policy has.
pub(super) fn ca(section: &mut Section<'_>, folder: &Path) -> Option<PathBuf> {
    const FILE: RequiredPath = RequiredPath {
        name: "the certificates",
        is_folder: false,
        wrong_type_help: "name a PEM file of root certificates",
        absent_help: "name a PEM file of root certificates",
    };
    let found = section.find(&CA)?;
    Some(FILE.resolve(&found, folder, section.report))
}
