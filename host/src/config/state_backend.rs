//! `backend` of `[state]`: the database server that has the data in place of the host's own file.

use super::reader::file::{PathKind, RequiredPath};
use super::reader::finding::{Span, ValueOrigin};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{FlagKind, KindError, TextKind, ValueKind, refused};
use super::reader::section::Section;
use super::secret::{self, SecretKind};
use crate::state::{BackendPassword, RemoteKind, RemoteSettings};
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// Where the backend of the state is written, for what is found later.
#[derive(Debug, Clone)]
pub struct StateSpans {
    /// Its address.
    pub(crate) backend: Span,
    /// Its `shared`, if that is written.
    pub(crate) shared: Option<Span>,
}

/// A database on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackendAddress {
    kind: RemoteKind,
    servers: Vec<(String, u16)>,
    database: String,
    tls: bool,
}

/// `postgres://HOST:PORT/DATABASE?sslmode=require` or `rediss://HOST:PORT/NUMBER`, with more servers after commas.
pub(super) struct BackendAddressKind;

/// The port of PostgreSQL, as IANA has it.
const POSTGRES: u16 = 5432;
/// That of Redis and Valkey, with TLS too: there is none of its own.
const REDIS: u16 = 6379;
/// The database of Redis where none is named, as its clients have it.
const FIRST_DATABASE: &str = "0";
/// The user of Redis who is meant where none is named.
const REDIS_USER: &str = "default";
/// The longest name of a schema: PostgreSQL cuts names at 63 bytes.
const LONGEST_NAMESPACE: usize = 40;

impl ValueKind for BackendAddressKind {
    type Value = BackendAddress;

    fn accepts(&self) -> String {
        "the address of a database, as \"postgres://db:5432/shop?sslmode=require\" or \"rediss://db:6379\"".into()
    }

    fn help(&self) -> String {
        "write postgres://, a host and perhaps a port, the name of the database, and ?sslmode=require for TLS; or \
         redis:// (rediss:// for TLS), a host and perhaps a port, and perhaps the number of the database"
            .into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<BackendAddress, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        let problem =
            |message: String, help: &str| vec![KindError { span: value.span(), message, help: help.to_owned() }];
        if text.contains('@') {
            // Without the text: it may have a secret.
            let help = "a manifest is committed: name the user in `user`, and refer to the secret by `password`";
            return Err(problem("must not hold a user or a password".into(), help));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refused(self, value))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let help = match scheme {
            "postgres" | "postgresql" => POSTGRES_QUERY,
            "redis" | "rediss" | "valkey" | "valkeys" => REDIS_QUERY,
            "nats" | "tls" => {
                return Err(problem(format!("names a backend, {scheme}, that Atoll does not keep state in"), NO_NATS));
            }
            _ => return Err(problem("names a backend that Atoll does not know".into(), SCHEMES)),
        };
        let read = if help == POSTGRES_QUERY { postgres(rest, query) } else { redis(scheme, rest, query) };
        match read {
            Ok(address) => Ok(address),
            Err(AddressProblem::Query) => Err(problem("has a part after `?` that Atoll does not know".into(), help)),
            Err(AddressProblem::Address) => Err(refused(self, value)),
        }
    }
}

/// What an address may begin with.
const SCHEMES: &str = "an address begins with postgres:// or postgresql://, redis:// or valkey://, or rediss:// or \
                       valkeys:// (the same with TLS), in small letters";
/// What a part after `?` may be.
const POSTGRES_QUERY: &str = "write ?sslmode=require, which checks the server's certificate too, or leave it out for a \
                              connection without TLS";
const REDIS_QUERY: &str = "leave it out; rediss:// in place of redis:// is a connection with TLS";
/// Why there is no state on NATS.
const NO_NATS: &str = "NATS cannot change several keys in one commit under conditions (docs/state-backends.md says \
                       more): use postgres:// or redis://, or leave `backend` out: then the data are in the host's \
                       own file";

/// What is wrong with an address.
enum AddressProblem {
    /// The part after `?`.
    Query,
    /// Anything else.
    Address,
}

fn postgres(rest: &str, query: &str) -> Result<BackendAddress, AddressProblem> {
    let tls = match query {
        "" | "sslmode=disable" => false,
        "sslmode=require" | "sslmode=verify-full" => true,
        _ => return Err(AddressProblem::Query),
    };
    let (servers, database) = rest.split_once('/').ok_or(AddressProblem::Address)?;
    let is_name = !database.is_empty() && database.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let servers = addresses(servers, POSTGRES).filter(|_| is_name).ok_or(AddressProblem::Address)?;
    Ok(BackendAddress { kind: RemoteKind::Postgres, servers, database: database.to_owned(), tls })
}

fn redis(scheme: &str, rest: &str, query: &str) -> Result<BackendAddress, AddressProblem> {
    if !query.is_empty() {
        return Err(AddressProblem::Query);
    }
    let (servers, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = if database.is_empty() { FIRST_DATABASE } else { database };
    let is_number = database.len() < 6 && database.bytes().all(|byte| byte.is_ascii_digit());
    let servers = addresses(servers, REDIS).filter(|_| is_number).ok_or(AddressProblem::Address)?;
    let tls = scheme == "rediss" || scheme == "valkeys";
    Ok(BackendAddress { kind: RemoteKind::Redis, servers, database: database.to_owned(), tls })
}

/// The servers, with commas between them; `None` if one is none.
fn addresses(text: &str, port: u16) -> Option<Vec<(String, u16)>> {
    text.split(',').map(|server| address(server, port)).collect()
}

/// One server with its port; `None` if that is no server.
fn address(text: &str, port: u16) -> Option<(String, u16)> {
    let authority: http::uri::Authority = text.trim().parse().ok()?;
    // `Authority` accepts a port that is not a number, and then says that there is none.
    let written = authority.as_str().strip_prefix(authority.host())?;
    let number = if written.is_empty() { port } else { authority.port_u16().filter(|port| *port > 0)? };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), number))
}

/// The name of a schema, which needs no quotes.
pub(super) struct NamespaceKind;

impl ValueKind for NamespaceKind {
    type Value = String;

    fn accepts(&self) -> String {
        format!("a name of 1 to {LONGEST_NAMESPACE} small letters, digits and `_` that begins with a letter")
    }

    fn help(&self) -> String {
        "use a name such as `shop` or `shop_test`".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": format!("^[a-z][a-z0-9_]{{0,{}}}$", LONGEST_NAMESPACE - 1) })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = text.len() <= LONGEST_NAMESPACE
            && text.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
            && text.bytes().all(plain)
            // PostgreSQL keeps such names for itself.
            && !text.starts_with("pg_");
        if is_name { Ok(text.to_owned()) } else { Err(refused(self, value)) }
    }
}

static BACKEND: ManifestKey<BackendAddressKind> = ManifestKey::without_default(
    "backend",
    BackendAddressKind,
    "A database server that has the data of all services, in place of the file: PostgreSQL 14, Redis 7.0 or \
     Valkey 7.2, or later. docs/state-backends.md says what each promises. Several hosts may be named, of which one \
     takes writes.",
);
static USER: ManifestKey<TextKind> = ManifestKey::without_default(
    "user",
    TextKind { min: 1 },
    "The name of the user at the `backend`. PostgreSQL requires it; Redis takes the user `default` without it.",
);
static PASSWORD: ManifestKey<SecretKind> =
    ManifestKey::without_default("password", SecretKind, "The password of `user`: `{ from_env }` or `{ file }`.");
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "A PEM file of root certificates, against which the certificate of the `backend` is checked. Absent: the roots of \
     the system. Only with `sslmode=require` or rediss://.",
);
static NAMESPACE: ManifestKey<NamespaceKind> = ManifestKey::new(
    "namespace",
    NamespaceKind,
    r#""atoll""#,
    "What the data are called at the `backend`: the schema of its tables, which the host creates, or the part of its \
     keys' names before a colon. Hosts with data of their own need names of their own.",
);
static SHARED: ManifestKey<FlagKind> = ManifestKey::new(
    "shared",
    FlagKind,
    "false",
    "Whether other hosts use the same data at the `backend` at the same time. Then the manifest cannot have topics, \
     sagas, schedules or quotas, which one host has to keep. Without it a second host waits, and is refused.",
);
static DURABLE: ManifestKey<FlagKind> = ManifestKey::new(
    "durable",
    FlagKind,
    "true",
    "Whether the `backend` must have on its disk what it acknowledges. A server that says that it does not is refused; \
     with false that is logged.",
);

const CERTIFICATES: RequiredPath = RequiredPath {
    name: "the certificates",
    is_folder: false,
    wrong_type_help: "name the PEM file itself",
    absent_help: "correct the path, or leave `ca` out to trust what the system trusts",
};

/// Reads the keys of the backend in `[state]`; `None` without one.
pub(super) fn read(
    state: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(RemoteSettings, StateSpans)> {
    let report = state.report;
    let written: Vec<_> = [USER.name, PASSWORD.name, CA.name, NAMESPACE.name, SHARED.name, DURABLE.name]
        .into_iter()
        .filter_map(|name| state.first_of(&[name]))
        .collect();
    let has_backend = state.has(BACKEND.name);
    let backend = state.find(&BACKEND);
    let (user, ca) = (state.find(&USER), state.find(&CA));
    let password = secret::read(state, &PASSWORD, folder, env);
    let namespace = state.get(&NAMESPACE);
    let (shared, durable) = (state.get_sourced(&SHARED), state.get(&DURABLE));
    if !has_backend {
        for (name, span) in written {
            let message = format!("`{name}` has no effect without a `backend`");
            report.push_if_whole(ValueOrigin::Text(span), message, "add `backend`, or leave the key out");
        }
    }
    let backend = backend?;
    let spans = StateSpans { backend: backend.span()?, shared: shared.span() };
    let BackendAddress { kind, servers, database, tls } = backend.value;
    if let Some(ca) = ca.as_ref().filter(|_| !tls) {
        let message = "`ca` has no effect, since the backend is asked without TLS";
        let help = match kind {
            RemoteKind::Postgres => "add ?sslmode=require to `backend`, or leave `ca` out",
            RemoteKind::Redis => "write rediss:// in `backend`, or leave `ca` out",
        };
        report.push_if_whole(ca.origin.clone(), message, help);
    }
    let ca = ca.map(|found| CERTIFICATES.resolve(&found, folder, report));
    let user = match kind {
        RemoteKind::Redis if !state.has(USER.name) => Some(REDIS_USER.to_owned()),
        _ => user.map(|user| user.value),
    };
    if kind == RemoteKind::Redis && state.has(USER.name) && !state.has(PASSWORD.name) {
        let message = "`user` has no effect without a `password`: Redis takes nobody by name alone";
        let origin = ValueOrigin::Text(spans.backend.clone());
        report.push_if_whole(origin, message, "add `password`, or leave `user` out");
    }
    if kind == RemoteKind::Postgres && !state.has(USER.name) {
        let origin = ValueOrigin::Text(spans.backend.clone());
        report.push_if_whole(origin, "`backend` has no `user`", "add user = \"NAME\", and its `password`");
    }
    let password = password.map(|Sourced { value, .. }| BackendPassword::new(value.expose().trim().to_owned()));
    let (user, shared) = (user?, shared.value);
    let settings = RemoteSettings { kind, servers, database, tls, ca, user, password, namespace, shared, durable };
    Some((settings, spans))
}

#[cfg(test)]
mod tests {
    use crate::config::Manifest;
    use crate::state::{BackendPassword, RemoteKind, RemoteSettings};

    fn parse(text: &str) -> Result<Option<RemoteSettings>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), "").unwrap();
        let env = |name: &str| (name == "SECRET").then(|| " s3cret\n".to_owned());
        let read = Manifest::parse("atoll.toml", format!("[state]\n{text}"), folder.path(), &env);
        read.map(|manifest| manifest.state.remote).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_backend_has_its_port_and_its_secret_does_not_print() {
        let read = parse("backend = 'postgres://db/shop'\nuser = 'atoll'\n").unwrap().unwrap();
        let plain = RemoteSettings {
            kind: RemoteKind::Postgres,
            servers: vec![("db".into(), 5432)],
            database: "shop".into(),
            tls: false,
            ca: None,
            user: "atoll".into(),
            password: None,
            namespace: "atoll".into(),
            shared: false,
            durable: true,
        };
        assert_eq!(read, plain);
        let text = "backend = 'postgresql://a:1, [::1]:2/shop?sslmode=require'\nuser = 'atoll'\nca = 'ca.pem'\n\
                    password = { from_env = 'SECRET' }\nnamespace = 'shop_1'\nshared = true\ndurable = false\n";
        let read = parse(text).unwrap().unwrap();
        assert_eq!(read.servers, [("a".into(), 1), ("::1".into(), 2)]);
        assert!(read.tls && read.ca.is_some() && read.shared && !read.durable);
        assert_eq!(read.namespace, "shop_1");
        assert_eq!(read.password, Some(BackendPassword::new("s3cret".into())));
        assert!(!format!("{read:?}").contains("s3cret"));
        assert_eq!(parse("path = 'x'"), Ok(None));
    }

    #[test]
    fn redis_and_valkey_need_neither_a_user_nor_a_database() {
        let plain = parse("backend = 'redis://db'").unwrap().unwrap();
        assert_eq!((plain.kind, plain.servers, plain.tls), (RemoteKind::Redis, vec![("db".into(), 6379)], false));
        assert_eq!((plain.user.as_str(), plain.database.as_str(), plain.password), ("default", "0", None));
        let text = "backend = 'valkeys://a,b:7000/3'\nuser = 'shop'\npassword = { from_env = 'SECRET' }\nca = 'ca.pem'";
        let read = parse(text).unwrap().unwrap();
        assert_eq!(read.servers, [("a".into(), 6379), ("b".into(), 7000)]);
        assert_eq!((read.user.as_str(), read.database.as_str()), ("shop", "3"));
        assert!(read.tls && read.ca.is_some());
    }

    #[test]
    fn what_a_backend_cannot_be_is_a_finding_and_a_password_is_not_shown() {
        for (text, message, help) in [
            ("user = 'a'", "`user` has no effect without a `backend`", "add `backend`"),
            ("shared = true", "`shared` has no effect without a `backend`", "add `backend`"),
            ("backend = 'postgres://db/shop'", "`backend` has no `user`", "add user"),
            ("backend = 'postgres://u:s3cret@db/shop'", "`backend` must not hold a user or a password", "refer to"),
            ("backend = 'redis://u:s3cret@db'", "`backend` must not hold a user or a password", "refer to"),
            ("backend = 'redis://db/shop'", "`backend` must be the address of a database", "number"),
            ("backend = 'redis://db?tls=yes'", "`backend` has a part after `?`", "rediss://"),
            ("backend = 'redis://db'\nuser = 'a'", "`user` has no effect without a `password`", "leave"),
            ("backend = 'redis://db'\nca = 'ca.pem'", "`ca` has no effect", "rediss://"),
            ("backend = 'nats://db'", "`backend` names a backend, nats, that Atoll does not keep state in", "says"),
            ("backend = 'mysql://db/shop'", "`backend` names a backend that Atoll does not know", "valkeys://"),
            ("backend = 'REDIS://db'", "`backend` names a backend that Atoll does not know", "small letters"),
            ("backend = 'postgres://db'", "`backend` must be the address of a database", "postgres://"),
            ("backend = 'postgres://db:0/shop'", "`backend` must be the address of a database", "postgres://"),
            ("backend = 'postgres://db/shop?sslmode=prefer'", "`backend` has a part after `?`", "sslmode=require"),
            ("backend = 'postgres://db/shop'\nuser = 'a'\nca = 'ca.pem'", "`ca` has no effect", "sslmode=require"),
            ("backend = 'postgres://db/shop'\nuser = 'a'\npassword = 's3cret'", "`password` must not stand", "file"),
            ("backend = 'postgres://db/shop'\nuser = 'a'\nnamespace = 'a-b'", "`namespace` must be a name", "shop"),
            ("backend = 'postgres://db/shop'\nuser = 'a'\nnamespace = 'pg_x'", "`namespace` must be a name", "shop"),
        ] {
            let errors = parse(text).expect_err(text);
            assert!(errors.contains(message) && errors.contains(help), "{text}: {errors}");
            assert!(!errors.contains("s3cret"), "{text}: {errors}");
        }
    }
}
