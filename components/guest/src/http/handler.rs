//! Connects adapters to `wasi:http`: reads a whole request body, and writes a whole response body.

use wasip3::http::types::{self, ErrorCode, Fields, Method};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_future, wit_stream};

use super::problem::Problem;
use super::request::{BodyError, MAX_BODY, Request};
use super::response::{Response, answer};

const READ_SIZE: usize = 16 * 1024;

/// Answers a request of `wasi:http/handler` with an adapter.
pub async fn serve(
    request: types::Request,
    adapter: impl AsyncFnOnce(&Request) -> Result<Response, Problem>,
) -> Result<types::Response, ErrorCode> {
    write(answer(read(request).await, adapter).await)
}

async fn read(request: types::Request) -> Request {
    let target = request.get_path_with_query().unwrap_or_else(|| "/".to_owned());
    let headers = request.get_headers().copy_all();
    let plain = Request::new(&method_name(request.get_method()), &target);
    let plain = headers.into_iter().fold(plain, |plain, (name, value)| plain.with_header(&name, value));
    plain.with_body_result(read_body(request).await)
}

async fn read_body(request: types::Request) -> Result<Vec<u8>, BodyError> {
    let (_handled, handled) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = types::Request::consume_body(request, handled);
    let mut body = Vec::new();
    loop {
        if body.capacity() - body.len() < READ_SIZE {
            body.reserve(READ_SIZE);
        }
        let (result, read) = stream.read(body).await;
        body = read;
        if body.len() > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    // A stream that ends looks the same whether it is complete or broken. Only the trailers tell which.
    trailers.await.map(|_| body).map_err(|_| BodyError::Incomplete)
}

fn write(response: Response) -> Result<types::Response, ErrorCode> {
    let mut headers: Vec<_> =
        response.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
    if !response.body.is_empty() {
        headers.push(("content-length".to_owned(), response.body.len().to_string().into_bytes()));
    }
    let headers = Fields::from_list(&headers).map_err(internal)?;
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    drop(trailers_writer); // no trailers: the future's default
    let contents = (!response.body.is_empty()).then(|| {
        let (mut writer, reader) = wit_stream::new();
        // The host can read the body only after this function has returned, so a task writes it. If the body is not
        // read to its end, the client has gone.
        spawn_local(async move {
            writer.write_all(response.body).await;
        });
        reader
    });
    let (answer, _sent) = types::Response::new(headers, contents, trailers);
    answer.set_status_code(response.status).map_err(|()| internal("status"))?;
    Ok(answer)
}

fn internal(error: impl std::fmt::Debug) -> ErrorCode {
    ErrorCode::InternalError(Some(format!("{error:?}")))
}

/// The name of the method in a request line.
pub fn method_name(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    };
    name.to_owned()
}
