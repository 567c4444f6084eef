//! The host's own secrets: one is planted wherever the manifest or the environment takes one, and nothing of the host
//! shows it. Registries and the collector send back what they got, as a careless server does in its error pages.

use super::super::atoll::{Atoll, Home, Http, ended, eventually};
use super::super::plain_server::{Behaviour, DeadAddress, PlainServer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use std::fs;
use std::path::Path;

/// The beginning of each secret that is a text: it occurs nowhere else.
const PLANTED: &str = "swordfish-of-the-host";

/// Parts that every base64 of a text with [`PLANTED`] has, at whichever of its three offsets it begins: what is sent by
/// HTTP Basic stands there like this.
fn encoded() -> [String; 3] {
    [0, 1, 2].map(|offset| {
        let text = STANDARD.encode([&b"---"[..offset], PLANTED.as_bytes()].concat());
        // The first four and the last four letters depend on what is beside it.
        text[4..text.len() - 4].to_owned()
    })
}

/// The secret that is planted at this place.
fn planted(place: &str) -> String {
    format!("{PLANTED}-{place}-0123456789abcdef")
}

/// A host that proves itself to four kinds of registries and to a collector, all of which are `mirror`.
fn manifest(mirror: &PlainServer) -> String {
    let at = mirror.address;
    let services = ["consul", "etcd", "eureka"].map(|kind| {
        let urls = format!("{kind}://{at}/users{}", if kind == "etcd" { "/" } else { "" });
        format!(
            "[service.{kind}]\nurls = [{urls:?}]\ndns = \"1s\"\n[[route]]\nprefix = '/{kind}'\nservice = '{kind}'\n"
        )
    });
    format!(
        r#"
[gateway.tls]
listen = "127.0.0.1:0"
self_signed = true

[operator.reader]
token = {{ from_env = "OPERATOR" }}

[state]
encryption = {{ key = {{ file = "state.key" }} }}

[telemetry]
otlp = "http://{at}"
sample = 1

[audit]
file = "audit.jsonl"

[discovery]
consul = {{ token = {{ from_env = "CONSUL" }} }}
etcd = {{ user = "atoll", password = {{ file = "etcd" }} }}
eureka = {{ user = "atoll", password = {{ from_env = "EUREKA" }} }}

[service.kv]
component = "{{component:fixture-kv}}"
state = true
env = {{ PARTNER = {{ from_env = "PARTNER" }} }}

[[route]]
prefix = "/kv"
strip_prefix = "/kv"
service = "kv"
{}"#,
        services.concat()
    )
}

/// All files below a folder, but for those that are there to hold a secret.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What the admin says to an operator who may see everything.
async fn shown(atoll: &Atoll, token: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for path in [
        "metrics",
        "readyz",
        "openapi.json",
        "v1/services",
        "v1/services/kv",
        "v1/services/consul",
        "v1/services/etcd",
        "v1/services/eureka",
        "v1/services/consul/why",
        "v1/routes",
        "v1/overview",
        "v1/logs",
        "v1/traces",
        "v1/traps",
        "v1/changes",
        "v1/outside",
        "v1/audit",
        "v1/nodes",
        "v1/nothing",
    ] {
        let request =
            Request::get(format!("{}/{path}", atoll.admin)).header("authorization", format!("Bearer {token}"));
        let answer = Http::default().send(request, "").await;
        assert!(answer.status != 401 && answer.status != 403, "{path}: {answer:?}");
        texts.push(format!("{path}: {:?} {}", answer.headers, String::from_utf8_lossy(&answer.body)));
    }
    texts
}

#[tokio::test]
async fn nothing_shows_a_secret_of_the_host_itself() {
    let mirror = PlainServer::start("mirror").await;
    let home = Home::new(&manifest(&mirror));
    let state_key = STANDARD.encode(*b"swordfish-of-the-host-is-no-fish");
    fs::write(home.folder.path().join("state.key"), &state_key).unwrap();
    fs::write(home.folder.path().join("etcd"), planted("etcd")).unwrap();
    let (root, headers) = (planted("root"), format!("authorization=Bearer%20{}", planted("collector")));
    let variables = [
        ("ATOLL_ADMIN_TOKEN", &*root),
        ("OPERATOR", &planted("operator")),
        ("CONSUL", &planted("consul")),
        ("EUREKA", &planted("eureka")),
        ("PARTNER", &planted("partner")),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("ATOLL_LOG", "trace,h2=off,wasmtime=info"),
    ];
    let atoll = home.start_with(&variables).await;
    let http = Http::default();
    let mut told = Vec::new();
    // With 200 and a strange document, and with the error page of a proxy.
    for behaviour in [Behaviour::Works, Behaviour::Status(401)] {
        mirror.behave(behaviour);
        let before = mirror.requests();
        eventually("registries and collector are asked", async || (mirror.requests() > before + 8).then_some(())).await;
        for path in ["kv/key", "consul/x", "etcd/x", "eureka/x"] {
            told.push(format!("{:?}", http.get(&format!("{}/{path}", atoll.gateway)).await));
        }
        // A wrong token, which is a refusal in log and audit.
        let wrong = Request::get(format!("{}/v1/services", atoll.admin));
        let refused = http.send(wrong.header("authorization", format!("Bearer {}", planted("guess"))), "").await;
        assert_eq!(refused.status, 401);
        told.push(format!("{refused:?}"));
        told.extend(shown(&atoll, &root).await);
    }
    // Otherwise the test shows nothing.
    eventually("each secret was sent where it belongs", async || {
        let seen: String = mirror.seen().iter().map(ToString::to_string).collect();
        let plain = ["consul", "etcd", "collector"].iter().all(|place| seen.contains(&planted(place)));
        (plain && encoded().iter().any(|part| seen.contains(part))).then_some(())
    })
    .await;
    let private = fs::read_to_string(tls_key(home.folder.path())).unwrap();
    let key_line = private.lines().nth(1).unwrap().to_owned();
    let log = atoll.stop().await;
    assert!(log.iter().any(|line| line.contains("DEBUG")), "much is logged: {} lines as {:?}", log.len(), log.last());
    let secrets = [vec![PLANTED.to_owned(), state_key, key_line], encoded().to_vec()].concat();
    for text in told.iter().chain(&log) {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
    for file in files(home.folder.path()) {
        let holds = |secret: &str| fs::read(&file).unwrap().windows(secret.len()).any(|part| part == secret.as_bytes());
        let is_its_place = file.ends_with("etcd") || file.ends_with("state.key") || holds("PRIVATE KEY");
        assert!(is_its_place || !secrets.iter().any(|secret| holds(secret)), "{}", file.display());
    }
}

/// The file of the private key that the host made for `localhost`.
fn tls_key(folder: &Path) -> std::path::PathBuf {
    let is_key = |file: &std::path::PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("PRIVATE KEY"));
    files(&folder.join(".atoll/tls")).into_iter().find(is_key).expect("self_signed writes a key")
}

#[tokio::test]
async fn a_server_that_is_away_is_named_without_the_password_for_it() {
    let dead = DeadAddress::new();
    let at = dead.address();
    for section in [
        format!(
            "[state]\nbackend = \"postgres://{at}/shop\"\nuser = \"atoll\"\npassword = {{ from_env = \"SECRET\" }}\n"
        ),
        format!("[events]\nbroker = \"nats://{at}\"\ntoken = {{ from_env = \"SECRET\" }}\n[topic.\"a.b\"]\n"),
        format!(
            "[events]\nbroker = \"amqp://{at}\"\nuser = \"atoll\"\npassword = {{ file = \"secret\" }}\n\
             [topic.\"a.b\"]\n"
        ),
        format!(
            "[events]\nbroker = \"kafka://{at}\"\nuser = \"atoll\"\npassword = {{ file = \"secret\" }}\n\
             [topic.\"a.b\"]\n"
        ),
    ] {
        let home = Home::new(&format!(
            "{section}[service.hello]\ncomponent = \"{{component:fixture-hello}}\"\n\
             [[route]]\nprefix = '/'\nservice = 'hello'\n"
        ));
        fs::write(home.folder.path().join("secret"), planted("server")).unwrap();
        let mut check = home.command(&["check", "atoll.toml"]);
        let checked = ended(check.env("SECRET", planted("server"))).await;
        assert!(checked.status.success(), "{checked:?}");
        let mut start = home.command(&["run", "atoll.toml", "--log-format", "json"]);
        start.env("SECRET", planted("server")).env("ATOLL_LOG", "trace");
        let said = refusal(&mut start, &at.port().to_string()).await;
        assert!(!said.contains(PLANTED) && !format!("{checked:?}").contains(PLANTED), "{said}");
    }
}

/// What a start says until it names the server's port: whether it ends with that or waits for the server.
async fn refusal(start: &mut tokio::process::Command, port: &str) -> String {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut host = start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(host.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            said += &line;
            said.push('\n');
            if line.contains(port) && !line.contains("TRACE") {
                break;
            }
        }
    };
    tokio::time::timeout(super::super::atoll::TIMEOUT, reading).await.expect("the start names the server");
    assert!(said.contains(port), "{said}");
    host.kill().await.unwrap();
    said
}
