//! Endpoints of etcd: a real one, which `just discovery` demands (`etcd-server` is a package of Debian).

use super::{Home, Host, Http, PlainServer, eventually, fails, manifest, recovers, serves, tells_no_secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running etcd. It ends when this is dropped.
struct Etcd {
    folder: TempDir,
    ports: (u16, u16),
    child: Child,
    http: Http,
    token: Option<String>,
}

impl Etcd {
    async fn start() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (folder, ports) = (tempfile::tempdir().unwrap(), (free(), free()));
        let child = Self::spawn(&folder, ports);
        let etcd = Self { folder, ports, child, http: Http::default(), token: None };
        etcd.is_up().await;
        etcd
    }

    fn spawn(folder: &TempDir, (client, peer): (u16, u16)) -> Child {
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("etcd is installed")
    }

    async fn is_up(&self) {
        let body = json!({ "key": STANDARD.encode("x") });
        eventually("etcd answers", async || self.try_ask("/v3/kv/range", &body).await.map(|_| ())).await;
    }

    async fn try_ask(&self, path: &str, body: &Value) -> Option<Value> {
        let request = http::Request::builder().method(Method::POST).uri(format!("http://{}{path}", self.address()));
        let request = match &self.token {
            Some(token) => request.header("authorization", token),
            None => request,
        };
        let answer = self.http.try_send(request.body(body.to_string().into()).unwrap()).await.ok()?;
        answer.status.is_success().then(|| answer.json())
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        self.try_ask(path, body).await.unwrap_or_else(|| panic!("{path} {body}"))
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.0)
    }

    async fn put(&self, key: &str, value: &str) {
        let body = json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) });
        self.ask("/v3/kv/put", &body).await;
    }

    async fn remove(&self, key: &str) {
        self.ask("/v3/kv/deleterange", &json!({ "key": STANDARD.encode(key) })).await;
    }
}

#[tokio::test]
#[ignore = "needs etcd: `just discovery`"]
async fn keys_are_watched_and_the_last_good_ones_stay() {
    let mut etcd = Etcd::start().await;
    let (a, b) = (PlainServer::start("a").await, PlainServer::start("b").await);
    etcd.put("services/users/1", &a.address.to_string()).await;
    etcd.put("services/users/2", &format!(r#"{{"Op":0,"Addr":"{}","Metadata":null}}"#, b.address)).await;
    etcd.put("services/users-of-others/1", "192.0.2.1:1").await;
    let host = Host::start(&manifest(&format!("etcd://{}/services/users/", etcd.address()), "")).await;
    serves(&host, &[&a, &b]).await;
    etcd.remove("services/users/1").await;
    serves(&host, &[&b]).await;
    etcd.put("services/users/3", &a.address.to_string()).await;
    serves(&host, &[&a, &b]).await;
    // A value that is none is passed over.
    etcd.put("services/users/4", "me").await;
    eventually("it is counted", async || (super::source(&host).await["unusable"] == 1).then_some(())).await;
    serves(&host, &[&a, &b]).await;
    // What was watched is compacted away while the host is cut off: the keys are listed anew.
    etcd.child.kill().await.unwrap();
    fails(&host, "cannot connect").await;
    serves(&host, &[&a, &b]).await;
    etcd.child = Etcd::spawn(&etcd.folder, etcd.ports);
    etcd.is_up().await;
    etcd.remove("services/users/3").await;
    // A later revision: of a deletion at the very one that is compacted, etcd 3.4.23 tells no watch (#18089).
    etcd.put("x", "y").await;
    let revision = etcd.ask("/v3/kv/range", &json!({ "key": STANDARD.encode("x") })).await;
    etcd.ask("/v3/kv/compaction", &json!({ "revision": revision["header"]["revision"] })).await;
    serves(&host, &[&b]).await;
    recovers(&host).await;
    etcd.remove("services/users/2").await;
    fails(&host, "it names no endpoint that can be called").await;
    serves(&host, &[&b]).await;
}

#[tokio::test]
#[ignore = "needs etcd: `just discovery`"]
async fn a_user_logs_in_and_a_wrong_password_is_told_without_it() {
    let mut etcd = Etcd::start().await;
    let a = PlainServer::start("a").await;
    etcd.put("users/1", &a.address.to_string()).await;
    etcd.ask("/v3/auth/user/add", &json!({ "name": "root", "password": "p" })).await;
    etcd.ask("/v3/auth/user/grant", &json!({ "user": "root", "role": "root" })).await;
    etcd.ask("/v3/auth/enable", &json!({})).await;
    let url = format!("etcd://{}/users/", etcd.address());
    let login = "[discovery.etcd]\nuser = \"root\"\npassword = { from_env = \"PASSWORD\" }\n";
    let start = async |password| {
        let home = Home::new(&manifest(&url, login));
        Host { atoll: home.start_with(&[("PASSWORD", password)]).await, http: Http::default(), home }
    };
    let wrong = start("s3cret").await;
    fails(&wrong, "correct `password` in `[discovery.etcd]`").await;
    tells_no_secret(&wrong);
    let nobody = Host::start(&manifest(&url, "")).await;
    fails(&nobody, "add `password` to `[discovery.etcd]`").await;
    let host = start("p").await;
    serves(&host, &[&a]).await;
    let token = etcd.ask("/v3/auth/authenticate", &json!({ "name": "root", "password": "p" })).await;
    etcd.token = token["token"].as_str().map(ToOwned::to_owned);
    let b = PlainServer::start("b").await;
    etcd.put("users/2", &b.address.to_string()).await;
    serves(&host, &[&a, &b]).await;
}
