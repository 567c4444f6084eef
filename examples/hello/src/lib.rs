//! Greets the person whom the query names. It has a bug, on purpose.

use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

wasip3::http::service::export!(Hello);

struct Hello;

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let request = http_from_wasi_request(request)?;
        let name = request.uri().query().and_then(|query| query.strip_prefix("name=")).expect("everybody has a name");
        http_into_wasi_response(http::Response::new(format!("Hello, {name}!\n")))
    }
}
