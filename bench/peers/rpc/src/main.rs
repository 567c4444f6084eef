//! A record that is called across processes by native programs: `rpc serve KIND [PKI]` prints its address and answers
//! with what it is given; `rpc call KIND ADDRESS CALLERS SECONDS [PKI]` prints calls a second, and the microseconds of
//! one.
//!
//! KIND is `json` (HTTP/1.1, axum), `grpc` (tonic, with mutual TLS if PKI is the folder of the certificates) or `bare`
//! (the bytes of a record over HTTP/2, hyper).

mod bare;
mod callers;
mod grpc;
mod json;
mod record;

use anyhow::{Context, bail};
use std::io::Write;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", kind] => serve(kind, None).await,
        ["serve", kind, pki] => serve(kind, Some(pki)).await,
        ["call", kind, address, callers, seconds] => call(kind, address, (callers, seconds), None).await,
        ["call", kind, address, callers, seconds, pki] => call(kind, address, (callers, seconds), Some(pki)).await,
        _ => bail!("usage: rpc serve KIND [PKI] | rpc call KIND ADDRESS CALLERS SECONDS [PKI]"),
    }
}

async fn serve(kind: &str, pki: Option<&str>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    print(&listener.local_addr()?.to_string())?;
    match kind {
        "json" => json::serve(listener).await,
        "grpc" => grpc::serve(listener, pki).await,
        "bare" => bare::serve(listener).await,
        _ => bail!("there is no kind `{kind}`"),
    }
}

async fn call(kind: &str, address: &str, (callers, seconds): (&str, &str), pki: Option<&str>) -> anyhow::Result<()> {
    let extent = callers::Extent {
        callers: callers.parse().context("a number of callers")?,
        seconds: seconds.parse().context("a number of seconds")?,
    };
    let seen = match kind {
        "json" => json::call(address, extent).await?,
        "grpc" => grpc::call(address, pki, extent).await?,
        "bare" => bare::call(address, extent).await?,
        _ => bail!("there is no kind `{kind}`"),
    };
    print(&format!("{:.0} {:.2}", seen.rate, seen.p50))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
