//! The least that can stand round Wasmtime: hyper and `ProxyHandler`, with the engine as Atoll sets it up and nothing of what Atoll does
//! besides: no routes, no discovery, no breaker, no limits, no metrics, no deadlines.

mod instances;

use super::{Guest, Life, REQUESTS, Running, Wasi, Yard};
use crate::process::Process;
use anyhow::Context as _;
use clap::Args;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use instances::Instances;
use std::convert::Infallible;
use std::path::PathBuf;
use tokio::net::TcpListener;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::ProxyHandler;

/// What the process is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    /// Be the bare server, of this component.
    #[arg(long, hide = true, value_name = "COMPONENT")]
    bare: Option<PathBuf>,

    /// Requests that an instance of the bare server serves.
    #[arg(long, hide = true, default_value_t = 1)]
    bare_requests: usize,

    /// And how many of them at a time.
    #[arg(long, hide = true, default_value_t = 1)]
    bare_concurrent: usize,
}

/// Starts it.
///
/// # Errors
/// If it does not listen.
pub(super) fn start(yard: &Yard, Guest { wasi, life }: Guest) -> anyhow::Result<Running> {
    let component = yard.component(wasi);
    let component = component.to_str().context("a path in UTF-8")?;
    let (requests, concurrent) = match life {
        Life::Request => (1, 1),
        Life::Reuse(concurrent) => (REQUESTS, if wasi == Wasi::P2 { 1 } else { concurrent }),
    };
    let (requests, concurrent) = (requests.to_string(), concurrent.to_string());
    let arguments = ["--bare", component, "--bare-requests", &requests, "--bare-concurrent", &concurrent];
    let (process, address) = Process::of_this_program(&arguments)?;
    Ok(Running::of(address, process))
}

impl Arguments {
    /// Whether this process is to be the server.
    pub(crate) fn is_server(&self) -> bool {
        self.bare.is_some()
    }

    /// The process: tells `say` where it listens, and answers until it is ended.
    ///
    /// # Errors
    /// If the component cannot be loaded, or it cannot listen, or not say so.
    pub(crate) async fn serve(self, say: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
        let component = self.bare.context("which component")?;
        let handler = ProxyHandler::new(Instances::load(&component, self.bare_requests, self.bare_concurrent)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&listener.local_addr()?.to_string())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let handler = handler.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(&handler, request));
                // A client that goes is no fault of the server.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }
}

async fn answer(
    handler: &ProxyHandler<Instances>,
    request: Request<Incoming>,
) -> Result<Response<WasiBody>, Infallible> {
    let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
    Ok(handler.handle((), request).await.unwrap_or_else(|_| {
        let mut failed = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    }))
}
