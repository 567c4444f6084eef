//! Questions to one registry, by HTTP: bounded in time and bytes, with this host's login.

use super::answer_lines::AnswerLines;
use super::registry_address::RegistryKind;
use super::settings::{RegistryLogin, SourceAccess};
use super::source_error::SourceError;
use crate::base::{Body, full_body};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a registry may take for an answer that it has.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long one watch lasts: then the registry is asked anew, since a connection may be dead without a sign, and a
/// registry may lose an event (etcd #18089).
pub(super) const WATCH: Duration = Duration::from_secs(60);

/// One registry.
pub(super) struct RegistryClient {
    kind: RegistryKind,
    /// `http://10.0.0.2:8500/`; `None`: nobody has said.
    server: Option<Uri>,
    access: SourceAccess,
}

/// One question.
#[derive(Default)]
pub(super) struct RegistryQuestion {
    /// The path and the query, which begins with `/`.
    pub(super) target: String,
    /// A body in JSON; `None`: a GET.
    pub(super) json: Option<Bytes>,
    /// The header that proves this host, if it does.
    pub(super) proof: Option<(HeaderName, HeaderValue)>,
    /// How much longer than [`ANSWER`] the registry may take.
    pub(super) patience: Duration,
}

impl RegistryClient {
    pub(super) fn new(kind: RegistryKind, server: Option<Uri>, access: SourceAccess) -> Self {
        Self { kind, server, access }
    }

    pub(super) fn login(&self) -> &RegistryLogin {
        self.access.settings.login(self.kind)
    }

    /// The most endpoints of its sources.
    pub(super) fn most_endpoints(&self) -> usize {
        self.access.settings.endpoints
    }

    /// The secret as it is now; `None`: there is none.
    pub(super) async fn secret(&self) -> Result<Option<String>, SourceError> {
        let Some(secret) = &self.login().secret else { return Ok(None) };
        let kind = self.kind;
        let unread = |error: std::io::Error| SourceError::Secret { kind, error };
        secret.read().await.map(Some).map_err(unread)
    }

    /// The header of a secret, which no log shows.
    pub(super) fn proof(&self, name: HeaderName, text: &str) -> Result<(HeaderName, HeaderValue), SourceError> {
        let unread =
            |_| SourceError::Secret { kind: self.kind, error: std::io::Error::other("it is no text of a header") };
        let mut value = HeaderValue::from_str(text).map_err(unread)?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// The headers of an answer, and what its body says.
    pub(super) async fn whole<T: DeserializeOwned>(
        &self,
        question: RegistryQuestion,
    ) -> Result<(HeaderMap, T), SourceError> {
        let deadline = Instant::now() + ANSWER + question.patience;
        let (headers, body) = self.answer(question).await?;
        let bytes = self.collect(body, deadline).await?;
        let read = serde_json::from_slice(&bytes).map_err(|error| SourceError::unreadable(&error))?;
        Ok((headers, read))
    }

    /// The lines of an answer that goes on, each at most as long as an answer.
    pub(super) async fn lines(&self, question: RegistryQuestion) -> Result<AnswerLines, SourceError> {
        let (_, body) = self.answer(question).await?;
        Ok(AnswerLines::new(body, self.access.settings.answer))
    }

    /// What a refusal says in JSON, in its member `message` or `error`; empty if it says nothing.
    async fn complaint(&self, body: Body) -> String {
        let read = self.collect(body, Instant::now() + Duration::from_secs(1)).await.ok();
        let value: serde_json::Value = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let text = value.get("message").or_else(|| value.get("error")).and_then(serde_json::Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    async fn answer(&self, question: RegistryQuestion) -> Result<(HeaderMap, Body), SourceError> {
        let RegistryQuestion { target, json, proof, patience } = question;
        let server = self.server.as_ref().ok_or(SourceError::NoServer)?;
        let authority = server.authority().map_or("", |authority| authority.as_str());
        let uri = format!("{}://{authority}{target}", server.scheme_str().unwrap_or("http"));
        let mut request = Request::builder().uri(uri).header(ACCEPT, "application/json");
        if let Some((name, value)) = proof {
            request = request.header(name, value);
        }
        let request = match json {
            Some(json) => request.method(Method::POST).header(CONTENT_TYPE, "application/json").body(full_body(json)),
            None => request.body(full_body(Bytes::new())),
        };
        let request = request.map_err(|error| SourceError::Unreachable(error.to_string()))?;
        let http = self.access.http.as_ref().ok_or_else(|| SourceError::Unreachable("it has no client".to_owned()))?;
        let within = ANSWER + patience;
        let answer = timeout_at(Instant::now() + within, http.ask(self.kind, request, within)).await;
        let answer = answer.map_err(|_| SourceError::Late)?.map_err(SourceError::Unreachable)?;
        let (head, body) = answer.into_parts();
        if head.status.is_success() {
            return Ok((head.headers, body));
        }
        let complaint = self.complaint(body).await;
        Err(self.refusal(head.status, &complaint))
    }

    /// What is told of a refusal. Nothing of its text is shown, which may repeat a secret.
    fn refusal(&self, status: StatusCode, complaint: &str) -> SourceError {
        let kind = self.kind;
        // etcd says 400 for a login that is missing, wrong or over.
        let login = ["user name is empty", "authentication failed", "invalid auth token"];
        let is_login = status == StatusCode::BAD_REQUEST && login.iter().any(|part| complaint.contains(part));
        match status {
            StatusCode::NOT_FOUND => SourceError::Absent,
            StatusCode::GONE => SourceError::Gone,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                SourceError::Denied { kind, status, known: self.login().secret.is_some() }
            }
            status if is_login => SourceError::Denied { kind, status, known: self.login().secret.is_some() },
            status => SourceError::Status(status),
        }
    }

    async fn collect(&self, body: Body, deadline: Instant) -> Result<Bytes, SourceError> {
        let longest = self.access.settings.answer;
        let read = timeout_at(deadline, Limited::new(body, longest).collect()).await.map_err(|_| SourceError::Late)?;
        read.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<LengthLimitError>() {
                SourceError::TooLong(longest)
            } else {
                SourceError::Unreachable(error.to_string())
            }
        })
    }
}
