//! What a route changes in requests and answers, and what the gateway answers itself.

mod compression;
mod decoding;
mod files;
mod headers;
mod mirror;
mod recipes;
mod redirects;

use super::atoll::{Answer, Atoll, Home, Http};
use super::plain_server::PlainServer;
use host::coding::{ContentCoding, Decoder};
use http::Request;

/// A host with the service `legacy` behind some routes.
pub struct Edge {
    pub server: PlainServer,
    pub home: Home,
    pub atoll: Atoll,
    pub http: Http,
}

impl Edge {
    /// A host with these routes, which are TOML.
    pub async fn start(routes: &str) -> Self {
        Self::start_with(routes, |_| {}).await
    }

    /// The same; `prepare` may write files into the home before the host starts.
    pub async fn start_with(routes: &str, prepare: impl FnOnce(&Home)) -> Self {
        let server = PlainServer::start("legacy").await;
        let home = Home::new(&format!("[service.legacy]\nurls = [\"http://{}\"]\n{routes}", server.address));
        prepare(&home);
        let atoll = home.start().await;
        Self { server, home, atoll, http: Http::default() }
    }

    /// The answer to a request with these fields.
    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(method, path, fields, "").await
    }

    /// The answer to a request with these fields and this body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.atoll.gateway));
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.http.send(request, body).await
    }

    /// The lines of the metrics that contain all of these texts.
    pub async fn metrics(&self, texts: &[&str]) -> Vec<String> {
        let metrics = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        text.lines().filter(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned).collect()
    }
}

/// What `bytes` are without their coding, which they need not have to their end.
pub fn decoded(coding: ContentCoding, mut bytes: &[u8]) -> Vec<u8> {
    let (mut decoder, mut room, mut text) = (Decoder::new(coding), vec![0; 1 << 16], Vec::new());
    loop {
        let (read, made) = decoder.step(bytes, &mut room).unwrap();
        text.extend_from_slice(&room[..made]);
        bytes = &bytes[read..];
        if bytes.is_empty() && made < room.len() {
            return text;
        }
    }
}
