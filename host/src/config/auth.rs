//! `[auth.NAME]`: the policies by which callers prove who they are.

use super::auth_names::NONE;
use super::auth_tokens::{self, IssuerAddress, TokenKeyPlace};
use super::edge::GatewayConfig;
use super::edge_finding_key::EdgeFindingKey;
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::{ChoiceKind, CountKind, FlagKind, KindError, ListKind, TextKind, ValueKind, refused};
use super::reader::measure::DurationKind;
use super::reader::report::Report;
use super::reader::scope::ScopeKind;
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use super::route_call::HeaderNameKind;
use super::secret::SecretText;
use crate::base::is_hop_by_hop;
use crate::identity::{CertificatePolicy, IntrospectionPolicy, NamePattern, TokenPolicy};
use http::HeaderName;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A policy.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The `NAME` of `[auth.NAME]`.
    pub name: String,
    /// The header that has the credential; `None`: the connection has it.
    pub header: Option<HeaderName>,
    /// Whether services get the credential.
    pub forward: bool,
    /// What proves a caller.
    pub proof: AuthProof,
}

/// What proves a caller.
#[derive(Debug, Clone)]
pub enum AuthProof {
    /// An API key of this host.
    ApiKey,
    /// A signed token.
    Token {
        /// What the token must be.
        policy: TokenPolicy,
        /// Where its keys are.
        keys: TokenKeyPlace,
        /// The most tokens that are remembered.
        remembered: usize,
    },
    /// A token that its issuer is asked about.
    Introspection {
        /// What the answer must be.
        policy: IntrospectionPolicy,
        /// Where the issuer is asked.
        endpoint: IssuerAddress,
        /// How this host proves itself to the issuer.
        client: (String, SecretText),
        /// How long an answer is waited for.
        timeout: Duration,
        /// The most answers that are remembered.
        remembered: usize,
    },
    /// A certificate that the connection has shown.
    Certificate(CertificatePolicy),
}

/// The kinds of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicyKind {
    ApiKey,
    Jwt,
    Introspection,
    Certificate,
}

/// The longest name of a policy, in characters.
const LONGEST_NAME: usize = 63;

static KIND: ManifestKey<ChoiceKind<PolicyKind>> = ManifestKey::without_default(
    "kind",
    ChoiceKind(&[
        ("api-key", PolicyKind::ApiKey),
        ("jwt", PolicyKind::Jwt),
        ("introspection", PolicyKind::Introspection),
        ("certificate", PolicyKind::Certificate),
    ]),
    "How callers prove who they are: by a key of this host (`atoll key create`), by a signed token, by a token that \
     its issuer is asked about, or by a certificate that the connection has shown.",
);
static HEADER: ManifestKey<HeaderNameKind> = ManifestKey::without_default(
    "header",
    HeaderNameKind,
    "The header that has the credential. In `Authorization` it stands behind `Bearer`. Absent: `x-api-key` for \
     `api-key`, `Authorization` for the others.",
);
static FORWARD: ManifestKey<FlagKind> = ManifestKey::new(
    "forward",
    FlagKind,
    "false",
    "Whether the service gets the credential that has let the caller in. Otherwise the gateway removes the header.",
);
static ISSUER: ManifestKey<TextKind> =
    ManifestKey::without_default("issuer", TextKind { min: 1 }, "The one value of `iss`. `jwt` needs it.");
pub(super) static REMEMBERED: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "remembered",
    CountKind { min: 0, max: 1_000_000 },
    "10000",
    "The most tokens of `jwt`, or answers of `introspection`, that are remembered by the token's SHA-256: a token \
     until it ends or the issuer's keys change, an answer for 60 s at most. Each has the claims, 8 KiB at \
     most. 0: none.",
);
static SUBJECTS: ManifestKey<ListKind<NamePatternKind>> = ManifestKey::without_default(
    "subjects",
    ListKind { of: NamePatternKind, max: 64 },
    "The names of which a client's certificate has one, each with its kind: `\"dns:*.partner.example\"`, \
     `\"uri:spiffe://shop/*\"`, `\"email:ops@partner.example\"`, `\"ip:10.0.0.7\"`, `\"subject:CN=till-7,O=Shop\"`. \
     `certificate` needs it.",
);
static SCOPES: ManifestKey<ListKind<ScopeKind>> = ManifestKey::without_default(
    "scopes",
    ListKind { of: ScopeKind, max: 64 },
    "What callers with such a certificate may do. Only for `certificate`: keys and tokens have scopes of their own.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "timeout",
    DurationKind { min: 10, max: 30_000 },
    r#""2s""#,
    "How long the answer of the `endpoint` is waited for. Then the caller gets 503.",
);

/// A name of a certificate, or a family of them.
struct NamePatternKind;

impl ValueKind for NamePatternKind {
    type Value = NamePattern;

    fn accepts(&self) -> String {
        "a name with its kind".into()
    }

    fn help(&self) -> String {
        "write dns:, uri:, email:, ip: or subject: and the name; `*` stands for the first label of a DNS name or for \
         the end of a URI: \"dns:*.partner.example\", \"uri:spiffe://shop/*\""
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<NamePattern, Vec<KindError>> {
        value.get_ref().as_str().and_then(NamePattern::parse).ok_or_else(|| refused(self, value))
    }
}

/// The policies of the manifest.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Those of which nothing is wrong, in the order of their names.
    pub(super) all: Vec<AuthConfig>,
    /// The names of all.
    names: Vec<String>,
}

impl Policies {
    /// The position of the policy `name`. `None` if there is none, which is reported, or if it is wrong, which was.
    pub(super) fn find(&self, name: &Spanned<String>, report: &Report) -> Option<usize> {
        let text = name.get_ref();
        if !self.names.contains(text) {
            let help = did_you_mean(text, self.names.iter().map(String::as_str), "the policies");
            let message = format!("there is no policy `{text}`: no section [auth.{text}]");
            report.push_if_whole(ValueOrigin::Text(name.span()), message, help);
        }
        self.all.iter().position(|policy| policy.name == *text)
    }
}

/// Reads every `[auth.NAME]`.
pub(super) fn read_all(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    (gateway, spans): (&GatewayConfig, &mut KeySpans<EdgeFindingKey>),
) -> Policies {
    let asks_clients = gateway.tls.as_ref().is_some_and(|tls| tls.tls.settings.client_ca.is_some());
    let mut policies = Policies::default();
    for (name, mut section) in root.sections("auth") {
        let report = section.report;
        let before = report.count();
        check_name(&name, report);
        policies.names.push((*name.get_ref()).to_owned());
        let read = read(name.get_ref(), &mut section, folder, env);
        let own = |key: fn(String) -> EdgeFindingKey| key((*name.get_ref()).to_owned());
        spans.note_key(own(EdgeFindingKey::KeySet), &section, "jwks");
        spans.note_key(own(EdgeFindingKey::Ca), &section, "ca");
        if let Some(policy) = read.as_ref().filter(|_| report.count() == before) {
            refuse_unsatisfiable(policy, &section, asks_clients);
        }
        section.close();
        match read.filter(|_| report.count() == before) {
            Some(policy) => policies.all.push(policy),
            // A policy must never be left out in silence: its routes would be open. Only a list that is written and
            // empty is neither right nor reported yet.
            None if report.count() == before => {
                let message =
                    format!("the policy `{}` can let nobody in: a list that it needs is empty", name.get_ref());
                let help = "name one at least in `audience` and `algorithms` (jwt), or in `subjects` (certificate)";
                report.push(ValueOrigin::Text(name.span()), message, help);
            }
            None => {}
        }
    }
    policies
}

fn check_name(name: &Spanned<&str>, report: &Report) {
    let text = *name.get_ref();
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=LONGEST_NAME).contains(&text.len()) || !text.bytes().all(legal) || text == NONE {
        let message = format!("`{text}` is no name of a policy");
        let help = format!("use 1 to {LONGEST_NAME} of a-z, 0-9 and -; `{NONE}` is taken");
        report.push(ValueOrigin::Text(name.span()), message, help);
    }
}

fn read(
    name: &str,
    section: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<AuthConfig> {
    let report = section.report;
    let kind = section.find(&KIND);
    let (header, forward) = (section.find(&HEADER), section.get(&FORWARD));
    let (issuer, remembered) = (section.find(&ISSUER), section.get_sourced(&REMEMBERED));
    let ca = auth_tokens::ca(section, folder);
    let tokens = auth_tokens::TokenKeywords::read(section, ca.clone(), folder, env);
    let endpoint = auth_tokens::EndpointKeywords::read(section, ca, folder, env);
    let timeout = section.get_sourced(&TIMEOUT);
    let (subjects, scopes) = (section.find(&SUBJECTS), section.find(&SCOPES));
    if kind.is_none() && section.lacks(KIND.name) {
        let help = "add kind = \"api-key\", \"jwt\", \"introspection\" or \"certificate\"";
        let origin = ValueOrigin::Text(section.span.clone());
        report.push_if_whole(origin, format!("the policy `{name}` has no `kind`"), help);
    }
    let kind = kind?;
    refuse_foreign(section, kind.value);
    let header = header.map(|found| found.value).and_then(|name| name.parse().ok());
    let remembered = usize::try_from(remembered.value).expect("at most a million");
    let (proof, usual) = match kind.value {
        PolicyKind::ApiKey => (AuthProof::ApiKey, Some(HeaderName::from_static("x-api-key"))),
        PolicyKind::Jwt => {
            let issuer = auth_tokens::need(section, &ISSUER, issuer.map(|found| found.value), &kind.origin)?;
            let (policy, keys) = tokens.policy(name, issuer, section, &kind.origin)?;
            (AuthProof::Token { policy, keys, remembered }, Some(http::header::AUTHORIZATION))
        }
        PolicyKind::Introspection => {
            let (endpoint, client) = endpoint.complete(section, &kind.origin)?;
            let (name, issuer, audience) = (name.to_owned(), issuer.map(|found| found.value), tokens.audience);
            let (policy, timeout) = (IntrospectionPolicy { name, issuer, audience }, timeout.value);
            let proof = AuthProof::Introspection { policy, endpoint, client, timeout, remembered };
            (proof, Some(http::header::AUTHORIZATION))
        }
        PolicyKind::Certificate => {
            let subjects = subjects.map(|found| found.value).filter(|all| !all.is_empty());
            let subjects = auth_tokens::need(section, &SUBJECTS, subjects, &kind.origin)?;
            let scopes = scopes.map(|found| found.value).unwrap_or_default();
            let policy = CertificatePolicy {
                name: name.to_owned(),
                subjects: subjects.into_iter().map(Spanned::into_inner).collect(),
                scopes: scopes.into_iter().map(Spanned::into_inner).collect(),
            };
            (AuthProof::Certificate(policy), None)
        }
    };
    Some(AuthConfig { name: name.to_owned(), header: header.or(usual), forward, proof })
}

/// Reports a policy that nobody can satisfy: no client can show what it demands.
fn refuse_unsatisfiable(policy: &AuthConfig, section: &Section<'_>, asks_clients: bool) {
    let at = |name| section.first_of(&[name]).map_or(section.span.clone(), |(_, span)| span);
    let report = |name, message: &str, help: &str| {
        section.report.push_if_whole(ValueOrigin::Text(at(name)), message, help);
    };
    if matches!(policy.proof, AuthProof::Certificate(_)) && !asks_clients {
        let help = "name the authorities of the clients with client_ca in [gateway.tls]";
        report("kind", "nobody can show a certificate, since no client is asked for one", help);
    }
    let Some(header) = policy.header.as_ref().filter(|header| !may_carry(header)) else { return };
    let message = format!("`{header}` cannot have a credential: HTTP or this host has a use of its own for it");
    report("header", &message, "name another header, x-api-key for one, or leave it out");
}

/// Whether a client can send a credential in this field. Those that frame a message, those of one connection and those
/// that the gateway removes or sets itself cannot.
fn may_carry(header: &HeaderName) -> bool {
    const TAKEN: [&str; 8] =
        ["host", "content-length", "trailer", "expect", "content-type", "forwarded", "via", "x-request-id"];
    let name = header.as_str();
    let own = ["x-atoll-", "x-forwarded-", "sec-websocket-", "access-control-"];
    !is_hop_by_hop(header) && !TAKEN.contains(&name) && !own.iter().any(|prefix| name.starts_with(prefix))
}

/// Reports the keys that another kind of policy has.
fn refuse_foreign(section: &Section<'_>, kind: PolicyKind) {
    const OF_TOKENS: [&str; 3] = ["issuer", "audience", "remembered"];
    const OF_JWT: [&str; 6] = ["algorithms", "jwks", "secret", "typ", "leeway", "refresh"];
    const OF_INTROSPECTION: [&str; 4] = ["endpoint", "client_id", "client_secret", "timeout"];
    const OF_CERTIFICATES: [&str; 2] = ["subjects", "scopes"];
    let mut foreign = Vec::new();
    if matches!(kind, PolicyKind::ApiKey | PolicyKind::Certificate) {
        foreign.extend(OF_TOKENS);
        foreign.push("ca");
    }
    if kind != PolicyKind::Jwt {
        foreign.extend(OF_JWT);
    }
    if kind != PolicyKind::Introspection {
        foreign.extend(OF_INTROSPECTION);
    }
    if kind == PolicyKind::Certificate {
        foreign.extend(["header", "forward"]);
    } else {
        foreign.extend(OF_CERTIFICATES);
    }
    if let Some((name, span)) = section.first_of(&foreign) {
        let message = format!("`{name}` is not for a policy of this kind");
        section.report.push_if_whole(ValueOrigin::Text(span), message, "leave it out, or write another `kind`");
    }
}
