//! Appends by the Kafka protocol whose answers are cut off, and that may arrive late: each event is there once, and in
//! its order.

use super::super::atoll::TIMEOUT;
use super::kafka_server::KafkaServer;
use host::broker::{BrokerError, BrokerKind, BrokerLog, BrokerSettings, OutgoingEvent, connect};
use host::events::{EventRecord, TopicName};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// How many events are appended at least.
const EVENTS: usize = 120;
/// How many together.
const BATCH: usize = 3;
/// How many appends or looks fail at least.
const FAILURES: usize = 8;

/// Hands the bytes of each connection on, and cuts its answers off after a while. What the client has sent arrives all
/// the same, perhaps later than what it sends on its next connection.
async fn cut(listener: TcpListener, port: u16) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        let life = Duration::from_millis(rand::rng().random_range(0..400));
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        tokio::spawn(async move {
            let _ = timeout(life, copy(&mut from_server, &mut to_client)).await;
            let _ = to_client.shutdown().await;
            let _ = copy(&mut from_server, &mut sink()).await;
        });
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
                let late = rand::rng().random_range(0..600_u64).saturating_sub(450);
                sleep(Duration::from_millis(late)).await;
                let _ = to_server.write_all(&bytes[..length]).await;
            }
        });
    }
}

fn settings(server: &str) -> BrokerSettings {
    BrokerSettings {
        kind: BrokerKind::Kafka,
        servers: vec![server.to_owned()],
        namespace: String::new(),
        tls: false,
        ca: None,
        login: None,
        replicas: 1,
        outbox: 1 << 20,
    }
}

fn event(n: usize) -> OutgoingEvent {
    let (source, payload) = ("test".to_owned(), format!("{n}"));
    OutgoingEvent { id: format!("e{n}"), record: EventRecord { time: 1, source, key: None, payload, trace: None } }
}

/// All ids behind `after`, with their numbers.
async fn ids(log: &dyn BrokerLog, mut after: u64) -> Result<Vec<(String, u64)>, BrokerError> {
    let mut found = Vec::new();
    loop {
        let page = log.after(after, 100).await?;
        let Some(last) = page.events.last() else { return Ok(found) };
        after = last.number;
        found.extend(page.events.into_iter().map(|event| (event.id.unwrap(), event.number)));
        if !page.more {
            return Ok(found);
        }
    }
}

/// As a relay does: after a failure it looks, and then it appends what is not there. Returns up to where it is.
async fn step(
    log: &dyn BrokerLog,
    left: &mut Vec<OutgoingEvent>,
    mark: u64,
    certain: bool,
) -> Result<u64, BrokerError> {
    if !certain {
        log.extent().await?;
        let arrived = ids(log, mark).await?;
        left.retain(|event| !arrived.iter().any(|(id, _)| *id == event.id));
        if left.is_empty() {
            return Ok(arrived.last().map_or(mark, |(_, number)| *number));
        }
    }
    let last = log.append(left).await?;
    left.clear();
    Ok(last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_cut_off_is_there_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = listener.local_addr().unwrap().to_string();
    let Some(server) = KafkaServer::tansu_at(&told).await else { return };
    tokio::spawn(cut(listener, server.port()));
    let topic = TopicName::new("cuts").unwrap();
    let (mut sent, mut mark, mut failures, begun) = (0, 0, 0, Instant::now());
    while sent < EVENTS || failures < FAILURES {
        assert!(begun.elapsed() < TIMEOUT, "{sent} events and {failures} failures");
        let mut left: Vec<_> = (sent..sent + BATCH).map(event).collect();
        // Now and then it is another process.
        let log: Arc<dyn BrokerLog> = connect(&settings(&told)).await.unwrap().log(&topic, "origin");
        let mut certain = false;
        for _ in 0..10 {
            while !left.is_empty() {
                assert!(begun.elapsed() < TIMEOUT, "{sent} events and {failures} failures");
                match step(&*log, &mut left, mark, certain).await {
                    Ok(last) => (mark, certain) = (last, true),
                    Err(error) => {
                        assert!(!error.is_lasting(), "{error}");
                        (certain, failures) = (false, failures + 1);
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            sent += BATCH;
            left = (sent..sent + BATCH).map(event).collect();
        }
    }
    let log = connect(&settings(&told)).await.unwrap().log(&topic, "reader");
    let found = loop {
        assert!(begun.elapsed() < TIMEOUT, "it cannot be read");
        match ids(&*log, 0).await {
            Ok(found) => break found,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    let found: Vec<_> = found.into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, (0..sent).map(|n| format!("e{n}")).collect::<Vec<_>>(), "after {failures} failures");
}
