//! The minimal server around Wasmtime: hyper and `ProxyHandler`, with an engine set up as Atoll's. It has no routes,
//! no discovery, no breaker, no limits, no metrics and no deadlines.

mod instances;

use super::{Guest, Life, PeerSetup, REQUESTS, Running, Wasi};
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

/// The arguments of the server's process.
#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    /// Run as the bare server of this component.
    #[arg(long, hide = true, value_name = "COMPONENT")]
    bare: Option<PathBuf>,

    /// How many requests an instance of the bare server serves.
    #[arg(long, hide = true, default_value_t = 1)]
    bare_requests: usize,

    /// How many of them it serves at a time.
    #[arg(long, hide = true, default_value_t = 1)]
    bare_concurrent: usize,
}

/// Starts the server.
///
/// # Errors
/// If it does not listen.
pub(super) fn start(setup: &PeerSetup, Guest { wasi, life }: Guest) -> anyhow::Result<Running> {
    let component = setup.component(wasi);
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
    /// Whether this process is the server.
    pub(crate) fn is_server(&self) -> bool {
        self.bare.is_some()
    }

    /// Runs the server: passes its address to `announce`, and answers until the process is ended.
    ///
    /// # Errors
    /// If the component cannot be loaded, or the server cannot listen or cannot report its address.
    pub(crate) async fn serve(self, announce: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
        let component = self.bare.context("the path of a component")?;
        let handler = ProxyHandler::new(Instances::load(&component, self.bare_requests, self.bare_concurrent)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(&listener.local_addr()?.to_string())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let handler = handler.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(&handler, request));
                // A client that disconnects is not an error of the server.
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
