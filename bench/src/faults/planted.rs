//! The thirteen faults: how each is planted, and which metric shows it.

use super::clients::{repeat, sip, trickle};
use super::samples::Metric;
use super::scene::Scene;
use crate::native::Client;
use anyhow::ensure;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use std::fmt;
use tokio::time::{Instant, sleep_until};

/// Clients of a closed loop.
const CLIENTS: usize = 16;
/// Slow clients of each kind: more than the 256 calls that a service may have under way by default.
const SLOW: usize = 300;

/// A fault, in the order of `docs/operations.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    UnreadLog,
    Chatter,
    FullDisk,
    Hurry,
    Crowd,
    Loops,
    Traps,
    Hunger,
    DeadUpstream,
    SilentUpstream,
    GarbledUpstream,
    SlowClients,
    Misfit,
}

impl Planted {
    pub(super) const ALL: [Self; 13] = [
        Self::UnreadLog,
        Self::Chatter,
        Self::FullDisk,
        Self::Hurry,
        Self::Crowd,
        Self::Loops,
        Self::Traps,
        Self::Hunger,
        Self::DeadUpstream,
        Self::SilentUpstream,
        Self::GarbledUpstream,
        Self::SlowClients,
        Self::Misfit,
    ];

    /// The metric that grows with the fault, and names who has it.
    pub(super) fn metric(self) -> Metric {
        let (name, label) = match self {
            Self::UnreadLog => ("atoll_log_lines_dropped_total", ""),
            Self::Chatter => ("atoll_log_lines_left_out_total", "service=\"chatty\""),
            Self::FullDisk => ("atoll_gateway_requests_total", "service=\"writer\",status=\"500\""),
            Self::Hurry => ("atoll_timeouts_total", "deadline=\"route\""),
            Self::Crowd => ("atoll_pool_wait_seconds_count", "service=\"slow\""),
            Self::Loops => ("atoll_failures_total", "service=\"looping\""),
            Self::Traps => ("atoll_failures_total", "service=\"traps\""),
            Self::Hunger => ("atoll_failures_total", "service=\"hungry\""),
            Self::DeadUpstream => ("atoll_failures_total", "service=\"dead\""),
            Self::SilentUpstream => ("atoll_failures_total", "service=\"silent\""),
            Self::GarbledUpstream => ("atoll_failures_total", "service=\"garbled\""),
            Self::SlowClients => ("atoll_gateway_requests_total", "kind=\"slow-body\""),
            Self::Misfit => ("atoll_swaps_refused_total", "service=\"swapped\""),
        };
        Metric { name, label }
    }

    /// Makes the fault until `end`.
    pub(super) async fn plant(self, scene: &Scene, end: Instant) -> anyhow::Result<()> {
        let gateway = scene.gateway.as_str();
        let get = async |clients, path: &str| repeat(gateway, clients, Method::GET, path, Bytes::new(), end).await;
        match self {
            Self::UnreadLog => {
                scene.stall_log(true);
                let load = get(CLIENTS, "/neighbour").await;
                scene.stall_log(false);
                load
            }
            Self::Chatter => get(CLIENTS, "/chatty/log?text=something").await,
            Self::FullDisk => write_until_full(gateway, end).await,
            Self::Hurry => get(CLIENTS, "/hurried/sleep?ms=20").await,
            Self::Crowd => get(80, "/slow/sleep?ms=500").await,
            Self::Loops => get(10, "/looping/loop").await,
            Self::Traps => get(CLIENTS, "/traps/trap").await,
            Self::Hunger => get(4, "/hungry/eat").await,
            Self::DeadUpstream => get(CLIENTS, "/dead/").await,
            Self::SilentUpstream => get(CLIENTS, "/silent/").await,
            Self::GarbledUpstream => get(CLIENTS, "/garbled/").await,
            Self::SlowClients => {
                let upload =
                    format!("POST /uploads/echo HTTP/1.1\r\nhost: {gateway}\r\ncontent-length: 100000\r\n\r\n");
                let read = format!("GET /uploads/stream?chunks=64&bytes=65536 HTTP/1.1\r\nhost: {gateway}\r\n\r\n");
                let (uploads, readers) =
                    tokio::join!(trickle(gateway, SLOW, &upload, end), sip(gateway, SLOW, &read, end));
                uploads.and(readers)
            }
            Self::Misfit => swap(scene, end).await,
        }
    }
}

/// Writes values of 256 KiB to ever new keys.
async fn write_until_full(gateway: &str, end: Instant) -> anyhow::Result<()> {
    let value = Bytes::from(vec![b'x'; 256 << 10]);
    let mut client = Client::connect(gateway).await?;
    for number in 0.. {
        if Instant::now() >= end {
            break;
        }
        let request = Request::put(format!("/writer/bucket/default/{number}"));
        if client.send(request, value.clone()).await.is_err() {
            client = Client::connect(gateway).await?;
        }
    }
    Ok(())
}

/// Swaps in a component again and again that does not fit.
async fn swap(scene: &Scene, end: Instant) -> anyhow::Result<()> {
    let component = Bytes::from(tokio::fs::read(&scene.misfit).await?);
    let mut admin = Client::connect(&scene.admin).await?;
    while Instant::now() < end {
        let request = Request::post("/v1/services/swapped/swap").header(CONTENT_TYPE, "application/wasm");
        let status = admin.send(request, component.clone()).await?.status();
        ensure!(status == StatusCode::UNPROCESSABLE_ENTITY, "the misfit was not refused for what it is: {status}");
    }
    sleep_until(end).await;
    Ok(())
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnreadLog => "a log that nobody reads",
            Self::Chatter => "a service that prints without end",
            Self::FullDisk => "a full disk",
            Self::Hurry => "a route with a deadline of 5 ms",
            Self::Crowd => "80 slow requests of one service",
            Self::Loops => "ten endless loops",
            Self::Traps => "a service that traps",
            Self::Hunger => "a service that takes memory",
            Self::DeadUpstream => "an address that refuses",
            Self::SilentUpstream => "an address that never answers",
            Self::GarbledUpstream => "an address that speaks no HTTP",
            Self::SlowClients => "300 slow uploads and 300 slow readers",
            Self::Misfit => "a component that does not fit",
        })
    }
}
