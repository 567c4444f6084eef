//! Who calls: API keys, signed tokens and their keys, issuers that are asked; and that no secret gets out.

mod api_keys;
mod introspection;
mod issuer;
mod recipes;
mod secrets;
mod token_attacks;
mod token_keys;

use super::atoll::{Answer, Atoll, Home, Http};
use super::plain_server::PlainServer;
use http::Request;
use serde_json::Value;

/// A host before a plain server, which tells what it got of each request.
struct Guarded {
    home: Home,
    atoll: Atoll,
    http: Http,
    server: PlainServer,
}

/// The routes of [`Guarded`]: `/` for everybody whom the default lets in, `/read` and `/write` with scopes, `/open`.
fn routes(server: &PlainServer, policies: &str) -> String {
    let route = |prefix: &str, keys: &str| format!("[[route]]\nprefix = {prefix:?}\nservice = \"legacy\"\n{keys}\n");
    [
        format!("[service.legacy]\nurls = [\"http://{}\"]\n", server.address),
        policies.to_owned(),
        route("/", ""),
        route("/read", "scopes = [\"orders:read\"]"),
        route("/write", "scopes = [\"orders:read\", \"orders:write\"]"),
        // A key of this host has no claims: `check` says so of a route that demands some of keys alone.
        if policies.contains("api-key") && !policies.contains("jwt") {
            String::new()
        } else {
            route("/tenant", "claims = { tenant = [\"acme\", \"umbrella\"] }")
        },
        route("/open", "auth = \"none\""),
    ]
    .join("\n")
}

impl Guarded {
    /// Starts a host with these policies. `{folder}` in them is the folder of the manifest.
    async fn start(policies: &str) -> Self {
        Self::start_with(policies, &[], &[]).await
    }

    /// The same, with more variables in the environment, and files beside the manifest.
    async fn start_with(policies: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let server = PlainServer::start("plain").await;
        let home = Home::new(&routes(&server, policies));
        for (name, text) in files {
            std::fs::write(home.folder.path().join(name), text).unwrap();
        }
        let atoll = home.start_with(variables).await;
        Self { home, atoll, http: Http::default(), server }
    }

    /// Sends a GET with these headers.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(format!("{}{path}", self.atoll.gateway));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http.send(request, "").await
    }

    /// Sends a GET with this token.
    async fn bearer(&self, path: &str, token: &str) -> Answer {
        self.get(path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// The standard output of a verb that succeeds against the host.
    async fn verb(&self, arguments: &[&str]) -> String {
        let output = self.home.output(&[arguments, &["--admin", &self.atoll.admin]].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The status of a refusal, the last part of its type, and its challenges.
#[track_caller]
fn refusal(answer: &Answer) -> (u16, String, Vec<String>) {
    let kind = answer.problem()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let challenges = answer.headers.get_all("www-authenticate").iter();
    let challenges = challenges.map(|value| value.to_str().unwrap().to_owned()).collect();
    (answer.status.as_u16(), kind, challenges)
}

/// The members of the log's lines about refused credentials.
fn refused_lines(log: &[String]) -> Vec<Value> {
    let lines = log.iter().filter(|line| line.contains("a credential was refused"));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}
