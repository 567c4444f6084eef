//! `[gateway]` and `[admin]`: the two HTTP edges.

use crate::config::address::{Address, Ip};
use crate::config::finding::ValueOrigin;
use crate::config::kind::{Choice, Count, Flag, List};
use crate::config::measure::{self, GIB, HOUR, KIB, MIB, MINUTE, Size, in_memory};
use crate::config::secret::Secret;
use crate::config::section::{ManifestKey, Report, Section, Sourced};
use crate::contract::Names;
use crate::listen;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What the manifest says about the gateway.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Its socket.
    pub listen: listen::Settings,
    /// How long requests in flight may take after the host was told to stop.
    pub drain: Duration,
    /// How long a request may take until the head of its answer, where its route says nothing else.
    pub timeout: Duration,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Most bytes of bodies that are held at once for the typed routes of one service.
    pub body_memory: usize,
    /// How JSON writes the names of WIT.
    pub names: Names,
    /// Whether it answers `GET /openapi.json`.
    pub openapi: bool,
}

/// What the manifest and the environment say about the admin edge.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Its socket.
    pub listen: listen::Settings,
    /// What operators must show; always there when `listen` is reachable from another machine.
    pub token: Option<Secret>,
}

/// Set, it takes the place of `gateway.listen`.
const GATEWAY_LISTEN: &str = "ATOLL_GATEWAY_LISTEN";
/// Set, it takes the place of `admin.listen`.
const ADMIN_LISTEN: &str = "ATOLL_ADMIN_LISTEN";
/// The admin's token. It has no key: a manifest is committed, and a secret must not be.
const ADMIN_TOKEN: &str = "ATOLL_ADMIN_TOKEN";

/// How long a connection may be idle, at either end.
const PAUSE: measure::Duration = measure::Duration { min: 100, max: HOUR };

static LISTEN: ManifestKey<Address> =
    ManifestKey { name: "listen", kind: Address, default: Some(r#""127.0.0.1:8080""#) };
static HEADER_TIMEOUT: ManifestKey<measure::Duration> = ManifestKey {
    name: "header_timeout",
    kind: measure::Duration { min: 100, max: 10 * MINUTE },
    default: Some(r#""10s""#),
};
static KEEP_ALIVE: ManifestKey<measure::Duration> =
    ManifestKey { name: "keep_alive", kind: PAUSE, default: Some(r#""60s""#) };
static WRITE_TIMEOUT: ManifestKey<measure::Duration> =
    ManifestKey { name: "write_timeout", kind: PAUSE, default: Some(r#""60s""#) };
static MAX_HEADERS: ManifestKey<Count<u16>> =
    ManifestKey { name: "max_headers", kind: Count { min: 10, max: 1000 }, default: Some("100") };
static HEADER_BYTES: ManifestKey<Size> =
    ManifestKey { name: "header_bytes", kind: Size { min: KIB, max: MIB }, default: Some(r#""32KiB""#) };
static CONNECTIONS: ManifestKey<Count<u32>> =
    ManifestKey { name: "connections", kind: Count { min: 1, max: 1_000_000 }, default: Some("10000") };
static DRAIN: ManifestKey<measure::Duration> =
    ManifestKey { name: "drain", kind: measure::Duration { min: 0, max: HOUR }, default: Some(r#""30s""#) };
static TIMEOUT: ManifestKey<measure::Duration> =
    ManifestKey { name: "timeout", kind: TOTAL, default: Some(r#""15s""#) };
static TRUSTED_PROXIES: ManifestKey<List<Ip>> =
    ManifestKey { name: "trusted_proxies", kind: List { of: Ip, max: 64 }, default: Some("[]") };
static NAMES: ManifestKey<Choice<Names>> = ManifestKey {
    name: "names",
    kind: Choice(&[("snake_case", Names::Snake), ("camelCase", Names::Camel), ("kebab-case", Names::Kebab)]),
    default: Some(r#""snake_case""#),
};
static BODY_MEMORY: ManifestKey<Size> =
    ManifestKey { name: "body_memory", kind: Size { min: MIB, max: 64 * GIB }, default: Some(r#""64MiB""#) };
static OPENAPI: ManifestKey<Flag> = ManifestKey { name: "openapi", kind: Flag, default: Some("true") };

static ADMIN: ManifestKey<Address> =
    ManifestKey { name: "listen", kind: Address, default: Some(r#""127.0.0.1:9090""#) };

/// How long a route's request may take: the kind of `gateway.timeout` and of a route's `timeout`.
pub(super) const TOTAL: measure::Duration = measure::Duration { min: 1, max: HOUR };

/// Reads `[gateway]` and `[admin]`, and holds them against each other.
pub(super) fn read(root: &mut Section<'_>, env: &dyn Fn(&str) -> Option<String>) -> (GatewaySettings, AdminSettings) {
    let report = root.report;
    let before = report.count();
    let mut section = root.section("gateway");
    let gateway_address = section.get_or_variable(&LISTEN, GATEWAY_LISTEN, env);
    let gateway = gateway(&mut section, gateway_address.value);
    section.close();

    let mut section = root.section("admin");
    let admin_address = section.get_or_variable(&ADMIN, ADMIN_LISTEN, env);
    section.close();
    // An address that is wrong was replaced by its default, which nobody meant.
    if report.count() == before {
        refuse_collision(&gateway_address, &admin_address, report);
    }
    let admin = AdminSettings {
        listen: listen::Settings { address: admin_address.value, ..listen::Settings::default() },
        token: token(&admin_address, env, report),
    };
    (gateway, admin)
}

fn gateway(section: &mut Section<'_>, address: SocketAddr) -> GatewaySettings {
    let connections = section.get(&CONNECTIONS);
    GatewaySettings {
        listen: listen::Settings {
            address,
            header_timeout: section.get(&HEADER_TIMEOUT),
            idle_timeout: section.get(&KEEP_ALIVE),
            write_timeout: section.get(&WRITE_TIMEOUT),
            max_headers: section.get(&MAX_HEADERS).into(),
            header_bytes: in_memory(section.get(&HEADER_BYTES)),
            connections: usize::try_from(connections).expect("at most a million"),
        },
        drain: section.get(&DRAIN),
        timeout: section.get(&TIMEOUT),
        trusted_proxies: section.get(&TRUSTED_PROXIES).into_iter().map(toml::Spanned::into_inner).collect(),
        body_memory: in_memory(section.get(&BODY_MEMORY)),
        names: section.get(&NAMES),
        openapi: section.get(&OPENAPI),
    }
}

/// The admin's token. Without one, whoever reaches the admin may replace services, so nobody beyond this machine may reach it.
fn token(address: &Sourced<SocketAddr>, env: &dyn Fn(&str) -> Option<String>, report: &Report) -> Option<Secret> {
    let token = env(ADMIN_TOKEN).filter(|token| !token.is_empty());
    if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        let message = "must be visible ASCII without spaces: it is sent in a header";
        report.push(
            ValueOrigin::Variable(ADMIN_TOKEN),
            message,
            "make one with `openssl rand -hex 32`; look for a stray newline",
        );
    }
    if token.is_none() && !address.value.ip().to_canonical().is_loopback() {
        let message = format!("{} can be reached from other machines, and so the admin demands a token", address.value);
        let help = format!("set {ADMIN_TOKEN} (make one with `openssl rand -hex 32`), or listen on 127.0.0.1");
        report.push(address.place.clone(), message, help);
    }
    token.map(Secret::new)
}

/// Refuses two sockets on one port; port 0 is a different one each time.
fn refuse_collision(gateway: &Sourced<SocketAddr>, admin: &Sourced<SocketAddr>, report: &Report) {
    let (one, other) = (gateway.value, admin.value);
    let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    if one.port() == 0 || one.port() != other.port() || !overlap {
        return;
    }
    let place = if admin.place == ValueOrigin::Absent { &gateway.place } else { &admin.place };
    let message = format!("gateway ({one}) and admin ({other}) cannot listen on the same port");
    report.push_if_whole(place.clone(), message, "give one of them another port, or port 0 for any free one");
}
