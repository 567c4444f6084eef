//! Requests to services among `calls` (`http://NAME.internal/…`) and to the hosts of `egress`.

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::failure::Failure;

/// The longest body of an answer that is read, in bytes. A longer one is no answer.
pub const MAX_ANSWER: usize = 1024 * 1024;
const READ_SIZE: usize = 16 * 1024;

/// What a server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// Pairs of a name in lower case and a value. What is no text of a value is replaced.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Fetched {
    /// The first value of the header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Failure::Unavailable`]: the server does not answer what it should.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| Failure::Unavailable(format!("no JSON that fits: {error}")))
    }
}

/// Sends a GET.
///
/// # Errors
/// As [`fetch`].
pub async fn get(url: &str) -> Result<Fetched, Failure> {
    fetch("GET", url, &[], Vec::new()).await
}

/// Sends a HEAD: the answer has no body.
///
/// # Errors
/// As [`fetch`].
pub async fn head(url: &str) -> Result<Fetched, Failure> {
    fetch("HEAD", url, &[], Vec::new()).await
}

/// Sends `document` as JSON by a POST.
///
/// # Errors
/// As [`fetch`].
pub async fn post(url: &str, document: &impl serde::Serialize) -> Result<Fetched, Failure> {
    let body = serde_json::to_vec(document).map_err(|error| Failure::Internal(format!("no JSON: {error}")))?;
    fetch("POST", url, &[("content-type", "application/json")], body).await
}

/// Sends a request and reads the whole answer. Every status is an answer.
///
/// # Errors
/// [`Failure::Internal`] if the URL or a header is not one, or if neither `calls` nor `egress` of the manifest names
/// the host; [`Failure::Unavailable`] if no answer came, it broke off, or it is longer than [`MAX_ANSWER`].
pub async fn fetch(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Fetched, Failure> {
    let target = Target::parse(url).ok_or_else(|| Failure::Internal(format!("no address of HTTP: {url:?}")))?;
    let told = |error: ErrorCode| match error {
        ErrorCode::HttpRequestDenied => {
            Failure::Internal(format!("{} is neither among `calls` nor in `egress` of the manifest", target.authority))
        }
        other => Failure::Unavailable(format!("{}: {other:?}", target.authority)),
    };
    let request = outbound(method, &target, headers, body).map_err(told)?;
    let response = client::send(request).await.map_err(told)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (status, fields) = (response.get_status_code(), response.get_headers().copy_all());
    let headers = fields.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect();
    Ok(Fetched { status, headers, body: read(response).await.map_err(told)? })
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
struct Target<'u> {
    https: bool,
    authority: &'u str,
    /// With the query, without the fragment.
    path: String,
}

impl<'u> Target<'u> {
    /// RFC 3986, section 3: what follows the scheme up to `/`, `?` or `#` is the authority.
    fn parse(url: &'u str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (!authority.is_empty()).then_some(Self { https, authority, path })
    }
}

fn outbound(method: &str, target: &Target<'_>, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Request, ErrorCode> {
    let malformed = |()| ErrorCode::HttpRequestUriInvalid;
    let mut list: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    if !body.is_empty() {
        list.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
    }
    let fields = Fields::from_list(&list).map_err(|error| ErrorCode::InternalError(Some(format!("{error:?}"))))?;
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    drop(trailers_writer); // no trailers: the future's default
    let contents = (!body.is_empty()).then(|| {
        let (mut writer, reader) = wit_stream::new();
        // The host reads the body while it sends. If it does not read all of it, the answer says what was wrong.
        spawn_local(async move {
            writer.write_all(body).await;
        });
        reader
    });
    let (request, _sent) = Request::new(fields, contents, trailers, None);
    request.set_method(&method_of(method)).map_err(malformed)?;
    request.set_scheme(Some(if target.https { &Scheme::Https } else { &Scheme::Http })).map_err(malformed)?;
    request.set_authority(Some(target.authority)).map_err(malformed)?;
    request.set_path_with_query(Some(&target.path)).map_err(malformed)?;
    Ok(request)
}

fn method_of(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

async fn read(response: Response) -> Result<Vec<u8>, ErrorCode> {
    let (_handled, handled) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = Response::consume_body(response, handled);
    let mut body = Vec::new();
    loop {
        body.reserve(READ_SIZE);
        let (result, read) = stream.read(body).await;
        body = read;
        if body.len() > MAX_ANSWER {
            return Err(ErrorCode::HttpResponseBodySize(Some(body.len() as u64)));
        }
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    // A stream that ends looks the same whether it is complete or broken. Only the trailers tell which.
    trailers.await.map(|_| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_a_host_and_a_path() {
        let cases = [
            ("http://users.internal", Some((false, "users.internal", "/"))),
            ("HTTPS://a.example:8443/x?y=1#z", Some((true, "a.example:8443", "/x?y=1"))),
            ("http://a?x=/y", Some((false, "a", "/?x=/y"))),
            ("ftp://a/", None),
            ("a/b", None),
            ("http:///x", None),
        ];
        for (url, expected) in cases {
            let found = Target::parse(url);
            let found = found.as_ref().map(|target| (target.https, target.authority, target.path.as_str()));
            assert_eq!(found, expected, "{url}");
        }
    }
}
