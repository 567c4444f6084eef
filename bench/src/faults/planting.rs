//! How each fault is planted, and the number by which it was first noticed.

use super::clients::{Dawdler, Round, dawdle, repeat};
use super::log_reader::LogVolume;
use super::planted::Planted;
use super::scene::{MISFIT, Scene};
use super::tally::{OPEN_END, Tally};
use crate::native::Client;
use crate::open_loop::{Offer, ms, offer};
use anyhow::ensure;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Clients of a closed loop.
const CLIENTS: usize = 16;
/// Slow clients of each kind: more than the 256 calls that a service may have under way by default.
const SLOW: usize = 300;
/// The time from an answer to the next request of the same client, where an answer costs the host next to nothing:
/// what is asked for is the harm of the fault, and not that of clients who take both processors.
const BREATH: Duration = Duration::from_millis(1);
/// Between two rounds of changes of a service.
const CHANGE: Duration = Duration::from_millis(50);
/// Clients that fill the disk, and the bytes of each value: the component takes bodies of up to 64 KiB.
const WRITERS: usize = 8;
const VALUE: usize = 60 << 10;
/// A host that answers its admin later than this hangs.
const HANGS: Duration = Duration::from_secs(2);
/// What the manifest's defaults let into the log of one service: so many lines at once, and so many in a second.
const BURST: f64 = 1000.0;
const PER_SECOND: f64 = 100.0;

/// A number of a fault, before it was mended and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) what: &'static str,
    /// As it was first measured, on 2026-11-27; the faults without a number had none.
    pub(super) before: &'static str,
    pub(super) now: String,
    /// Why it is not good enough.
    pub(super) miss: Option<String>,
}

/// What the clients of a fault saw.
#[derive(Debug, Default)]
pub(super) struct Planting {
    pub(super) tally: Tally,
    pub(super) figure: Option<Figure>,
}

impl Planting {
    fn of(tally: Tally) -> Self {
        Self { tally, figure: None }
    }
}

impl Planted {
    /// Makes the fault until `end`.
    pub(super) async fn plant(self, scene: &Scene, end: Instant) -> anyhow::Result<Planting> {
        let gateway = scene.gateway.as_str();
        let send = async |service: &str, round: Round| repeat(gateway, service, round, end).await;
        Ok(match self {
            Self::UnreadLog => unread_log(scene, end).await?,
            Self::Chatter => chatter(scene, end).await?,
            Self::FullDisk => full_disk(scene, end).await?,
            Self::Hurry => hurry(gateway, end).await?,
            Self::Crowd => Planting::of(send("slow", Round::get(80, "/sleep?ms=500")).await?),
            Self::Loops => Planting::of(send("looping", Round::get(10, "/loop")).await?),
            Self::Traps => traps(scene, end).await?,
            Self::Hunger => Planting::of(send("hungry", Round::get(4, "/eat")).await?),
            Self::DeadUpstream => Planting::of(send("dead", Round::get(CLIENTS, "/").with_pause(BREATH)).await?),
            Self::SilentUpstream => Planting::of(send("silent", Round::get(CLIENTS, "/").with_pause(BREATH)).await?),
            Self::GarbledUpstream => Planting::of(send("garbled", Round::get(CLIENTS, "/").with_pause(BREATH)).await?),
            Self::SlowClients => Planting::of(slow_clients(gateway, end).await?),
            Self::Misfit => misfit(scene, end).await?,
        })
    }
}

/// Enough requests to fill pipe and queue, and the admin is asked meanwhile.
async fn unread_log(scene: &Scene, end: Instant) -> anyhow::Result<Planting> {
    scene.log.stall(true);
    let start = Instant::now();
    let load = offer(Offer {
        address: &scene.gateway,
        path: "/neighbour",
        connections: CLIENTS,
        rate: 500,
        start,
        duration: end.saturating_duration_since(start),
    });
    let (load, admin) = tokio::join!(load, slowest_of_admin(&scene.admin, end));
    scene.log.stall(false);
    let mut tally = Tally::default();
    for sample in load? {
        match sample.status {
            Some(status) => tally.answered("neighbour", status.as_u16(), b""),
            None => tally.broke(),
        }
    }
    let (now, miss) = match admin {
        Some(slowest) => (format!("{:.1}", ms(slowest)), None),
        None => ("none".to_owned(), Some("the admin did not answer while nobody read the log".to_owned())),
    };
    let figure = Figure { what: "the admin's slowest answer, ms", before: "none came", now, miss };
    Ok(Planting { tally, figure: Some(figure) })
}

/// The longest that the admin took; `None` if an answer did not come.
async fn slowest_of_admin(admin: &str, end: Instant) -> Option<Duration> {
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        let asked = Instant::now();
        let answer = timeout(HANGS, async { Client::connect(admin).await?.get_any_status("/healthz").await });
        answer.await.ok()?.ok()?;
        slowest = slowest.max(asked.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    Some(slowest)
}

/// 900 lines on each of the two streams in each request, which is within the bound of one instance.
async fn chatter(scene: &Scene, end: Instant) -> anyhow::Result<Planting> {
    let (start, before) = (Instant::now(), scene.log.volume());
    let round = Round::get(CLIENTS, &format!("/log?text={}", "x%0A".repeat(900)));
    let tally = repeat(&scene.gateway, "chatty", round, end).await?;
    let seconds = start.elapsed().as_secs_f64();
    let LogVolume { guest, bytes, .. } = scene.log.volume().since(before);
    let miss = (as_float(guest) > 1.2 * (BURST + PER_SECOND * seconds)).then(|| format!("{guest} lines were written"));
    let figure = Figure {
        what: "lines/s of the guest in the log, MB/s of the log",
        before: "231,000, 57",
        now: format!("{:.0}, {:.2}", as_float(guest) / seconds, as_float(bytes) / seconds / 1e6),
        miss,
    };
    Ok(Planting { tally, figure: Some(figure) })
}

/// Writes values to ever new keys, and reads the state of another service.
async fn full_disk(scene: &Scene, end: Instant) -> anyhow::Result<Planting> {
    let read = Round::get(4, "/bucket/default/kept").with_pause(BREATH);
    let (written, read) =
        tokio::join!(write_until_full(&scene.gateway, end), repeat(&scene.gateway, "reader", read, end));
    let (mut tally, read) = (written?, read?);
    let asked = read.of_route("/reader/*");
    let failed = asked - read.with_status("/reader/*", 200);
    let figure = Figure {
        what: "reads of another service that failed",
        before: "2,746 of 3,001",
        now: format!("{failed} of {asked}"),
        miss: (failed > 0).then(|| format!("{failed} of {asked} reads of another service failed")),
    };
    tally.merge(read);
    Ok(Planting { tally, figure: Some(figure) })
}

/// Writes by several clients, which share a sync of the disk.
async fn write_until_full(gateway: &str, end: Instant) -> anyhow::Result<Tally> {
    let value = Bytes::from(vec![b'x'; VALUE]);
    let writer = async |writer: usize| {
        let mut tally = Tally::default();
        let mut client = Client::connect(gateway).await?;
        for number in 0.. {
            if Instant::now() >= end {
                break;
            }
            let request = Request::put(format!("/writer/bucket/default/{writer}-{number}"));
            match client.send(request, value.clone()).await {
                Ok(answer) => tally.answered("writer", answer.status().as_u16(), answer.body()),
                Err(_) => {
                    tally.broke();
                    client = Client::connect(gateway).await?;
                }
            }
        }
        anyhow::Ok(tally)
    };
    let mut all = Tally::default();
    for tally in futures_util::future::try_join_all((0..WRITERS).map(writer)).await? {
        all.merge(tally);
    }
    Ok(all)
}

/// Clients of a route with a deadline that is too short, and patient ones of the same service.
async fn hurry(gateway: &str, end: Instant) -> anyhow::Result<Planting> {
    let hurried = repeat(gateway, "hurried", Round::get(CLIENTS, "/sleep?ms=20"), end);
    let patient = repeat(gateway, "hasty", Round::get(4, "/sleep?ms=20"), end);
    let (hurried, patient) = tokio::join!(hurried, patient);
    let (mut tally, patient) = (hurried?, patient?);
    let asked = patient.of_route("/hasty/*");
    let failed = asked - patient.with_status("/hasty/*", 200);
    let figure = Figure {
        what: "patient requests of the same service that failed",
        before: "118 of 120",
        now: format!("{failed} of {asked}"),
        miss: (failed > 0).then(|| format!("{failed} of {asked} patient requests failed")),
    };
    tally.merge(patient);
    Ok(Planting { tally, figure: Some(figure) })
}

/// The circuit opens, and then nearly each request is refused.
async fn traps(scene: &Scene, end: Instant) -> anyhow::Result<Planting> {
    let (start, before) = (Instant::now(), scene.log.volume());
    let tally = repeat(&scene.gateway, "traps", Round::get(CLIENTS, "/trap").with_pause(BREATH), end).await?;
    let seconds = start.elapsed().as_secs_f64();
    let refused = tally.with_status("/traps/*", StatusCode::SERVICE_UNAVAILABLE.as_u16());
    let others = as_float(tally.of_route("/traps/*") - refused);
    // The neighbour's requests have their lines too, and each trap at most two beside that of its request.
    let bound = 1.2 * (BURST + (PER_SECOND + f64::from(super::RATE)) * (seconds + 1.0)) + 3.0 * others;
    let LogVolume { lines, .. } = scene.log.volume().since(before);
    let figure = Figure {
        what: "lines/s of the log, at so many refusals/s",
        before: "43,000 at 43,000",
        now: format!("{:.0} at {:.0}", as_float(lines) / seconds, as_float(refused) / seconds),
        miss: (as_float(lines) > bound).then(|| format!("{lines} lines were written, and {bound:.0} are due at most")),
    };
    Ok(Planting { tally, figure: Some(figure) })
}

/// Uploads that the gateway reads itself, uploads that the service reads as they come, and readers.
async fn slow_clients(gateway: &str, end: Instant) -> anyhow::Result<Tally> {
    let upload = |length: usize| Dawdler {
        head: format!("POST /uploads/echo HTTP/1.1\r\nhost: {gateway}\r\ncontent-length: {length}\r\n\r\n"),
        sends: true,
    };
    let (short, long) = (upload(1_000), upload(100_000));
    let head = format!("GET /uploads/stream?chunks=64&bytes=65536 HTTP/1.1\r\nhost: {gateway}\r\n\r\n");
    let reader = Dawdler { head, sends: false };
    let dawdle = async |clients, dawdler| dawdle(gateway, OPEN_END, clients, dawdler, end).await;
    let (short, long, readers) = tokio::join!(dawdle(SLOW / 2, &short), dawdle(SLOW / 2, &long), dawdle(SLOW, &reader));
    let mut tally = short?;
    tally.merge(long?);
    tally.merge(readers?);
    Ok(tally)
}

/// Tries again and again to swap in a component that does not fit, and between two tries swaps to one that does and
/// back, while the service is used.
async fn misfit(scene: &Scene, end: Instant) -> anyhow::Result<Planting> {
    let load = repeat(&scene.gateway, "swapped", Round::get(4, "/ok").with_pause(BREATH), end);
    let changes = async {
        let (bad, good) = (tokio::fs::read(&scene.misfit).await?, tokio::fs::read(&scene.fitting).await?);
        let (bad, good) = (Bytes::from(bad), Bytes::from(good));
        let mut admin = Client::connect(&scene.admin).await?;
        let mut counts = [0_u64; 3];
        while Instant::now() < end {
            let steps = [
                ("swap", bad.clone(), StatusCode::UNPROCESSABLE_ENTITY),
                ("swap", good.clone(), StatusCode::OK),
                ("rollback", Bytes::new(), StatusCode::OK),
            ];
            for (count, (verb, body, wanted)) in counts.iter_mut().zip(steps) {
                let media_type = if verb == "swap" { "application/wasm" } else { "application/json" };
                let request = Request::post(format!("/v1/services/{MISFIT}/{verb}")).header(CONTENT_TYPE, media_type);
                let answer = admin.send(request, body).await?;
                let (status, text) = (answer.status(), String::from_utf8_lossy(answer.body()).into_owned());
                ensure!(status == wanted, "{verb}: {status} in place of {wanted}: {text}");
                *count += 1;
            }
            sleep(CHANGE).await;
        }
        sleep_until(end).await;
        Ok(counts)
    };
    let (tally, counts) = tokio::join!(load, changes);
    let [refused, swapped, rolled_back] = counts?;
    scene.changes.add(refused, swapped, rolled_back);
    let tally = tally?;
    let asked = tally.of_route("/swapped/*");
    let failed = asked - tally.with_status("/swapped/*", 200);
    let figure = Figure {
        what: "requests of the swapped service that failed",
        before: "–",
        now: format!("{failed} of {asked}"),
        miss: (failed > 0).then(|| format!("{failed} of {asked} requests of the swapped service failed")),
    };
    Ok(Planting { tally, figure: Some(figure) })
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people: counts above 2⁵³ may be rounded")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
