//! Large answers: on their way to the disk, on it, and off it.

use super::*;
use crate::base::{Body, BodyError, CallContext, ErrorKind, RequestId, full_body};
use crate::cache::{CachePolicy, Purge};
use crate::gateway::problem::Problem;
use crate::telemetry::CacheMetrics;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

const MIB: usize = 1 << 20;

/// A cache with 20 MiB of disk, 2 MiB for one answer, and 4 KiB for one in memory.
struct Rig {
    cache: Arc<SharedCache>,
    policy: Arc<CachePolicy>,
    metrics: Arc<CacheMetrics>,
    folder: tempfile::TempDir,
}

/// A request without its answer.
struct Pending(Box<CacheFetch>);

enum Turn {
    Given(Response<Body>),
    Fetch(Pending),
}

/// Content of a known length that a test sends piece by piece.
struct Announced {
    pieces: mpsc::Receiver<Result<Frame<Bytes>, BodyError>>,
    length: Option<u64>,
}

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.pieces.poll_recv(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

type Pieces = mpsc::Sender<Result<Frame<Bytes>, BodyError>>;

/// Content of this length, and what sends it.
fn announced(length: Option<usize>) -> (Pieces, Body) {
    let (sender, pieces) = mpsc::channel(64);
    (sender, Announced { pieces, length: length.map(|length| length as u64) }.boxed_unsync())
}

/// Content that tells where it is from.
fn content(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<u8>>().into()
}

async fn send(pieces: &Pieces, bytes: Bytes) {
    pieces.send(Ok(Frame::data(bytes))).await.expect("somebody reads");
}

impl Rig {
    fn new() -> Self {
        Self::of(20 * MIB as u64, 2 * MIB as u64)
    }

    fn of(disk: u64, disk_object: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = CacheDisk::open(&folder.path().join("answers"), disk).expect("it can be used");
        let metrics = Arc::new(CacheMetrics::new([(0, "GET /".to_owned(), "files".to_owned())]));
        let bounds = CacheBounds { memory: 4 * MIB, object: 4096, disk_object };
        let cache = Arc::new(SharedCache::new(bounds, Some(disk), Arc::clone(&metrics), || 1));
        Self { cache, policy: Arc::default(), metrics, folder }
    }

    async fn turn(&self, path: &str, fields: &[(HeaderName, &'static str)]) -> Turn {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().expect("a path");
        *request.method_mut() = Method::GET;
        let headers: HeaderMap =
            fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        *request.headers_mut() = headers;
        let (head, ()) = request.into_parts();
        let context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(5));
        let at = RequestPlace { host: None, secure: false, trusted: false, route: 0 };
        let request = CachedRequest { head: &head, is_bare: true, at, context: &context };
        let turn = self.cache.turn(&request, Some(&self.policy)).await.unwrap_or_else(|_| panic!("no problem"));
        match turn.into_parts() {
            (Some(answer), ..) => Turn::Given(answer),
            (None, Some(fetch), _) => Turn::Fetch(Pending(fetch)),
            (None, None, _) => panic!("the route has a cache"),
        }
    }

    async fn fetch(&self, path: &str) -> Pending {
        match self.turn(path, &[]).await {
            Turn::Fetch(pending) => pending,
            Turn::Given(answer) => panic!("it is kept: {answer:?}"),
        }
    }

    async fn given(&self, path: &str, fields: &[(HeaderName, &'static str)]) -> Response<Body> {
        match self.turn(path, fields).await {
            Turn::Given(answer) => answer,
            Turn::Fetch(_) => panic!("it is not kept"),
        }
    }

    /// Has so many bytes kept for `path`.
    async fn keep(&self, path: &str, length: usize) {
        let answer = self.fetch(path).await.answer(full_body(content(length))).await;
        assert_eq!(whole(answer).await, content(length));
        self.settled(|rig| rig.cache.open_spools() == 0).await;
    }

    /// The names and lengths of the files.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let entries = fs::read_dir(self.folder.path().join("answers")).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("it can be read").path());
        let answers = paths.filter(|path| path.extension().is_some_and(|end| end == "answer"));
        answers.map(|path| (path.clone(), fs::metadata(path).map_or(0, |facts| facts.len()))).collect()
    }

    fn used(&self) -> u64 {
        self.cache.disk().expect("there is one").used()
    }

    async fn settled(&self, is_settled: impl Fn(&Self) -> bool) {
        let settled = async {
            while !is_settled(self) {
                tokio::task::yield_now().await;
            }
        };
        let found = timeout(Duration::from_secs(10), settled).await;
        assert!(found.is_ok(), "used {}, files {:?}, {:?}", self.used(), self.files(), self.cache.usage());
    }
}

impl Pending {
    /// The client's answer, if the service gives one that is fresh for a minute, with this content.
    async fn answer(self, body: Body) -> Response<Body> {
        let mut answer = Response::new(body);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        answer.headers_mut().insert(ETAG, HeaderValue::from_static("\"a\""));
        self.0.finish(async move { Ok::<_, Problem>(answer) }).await.unwrap_or_else(|_| panic!("no problem"))
    }
}

async fn whole(answer: Response<Body>) -> Bytes {
    answer.into_body().collect().await.expect("whole").to_bytes()
}

fn status(answer: &Response<Body>) -> &str {
    answer.headers()["cache-status"].to_str().expect("text")
}

#[tokio::test]
async fn what_is_too_large_for_the_memory_is_kept_on_the_disk_and_given_whole_in_part_and_as_304() {
    let rig = Rig::new();
    rig.keep("/a", MIB + 7).await;
    assert_eq!(rig.used(), (MIB + 4096) as u64, "in blocks");
    let answer = rig.given("/a", &[]).await;
    assert!(status(&answer).starts_with("atoll; hit") && status(&answer).ends_with("detail=disk"), "{answer:?}");
    assert_eq!(answer.headers()["content-length"], (MIB + 7).to_string());
    assert_eq!(whole(answer).await, content(MIB + 7));
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=70000-200000", 70_000..200_001),
        ("bytes=-5", MIB + 2..MIB + 7),
        ("bytes=1048576-", MIB..MIB + 7),
    ] {
        let answer = rig.given("/a", &[(RANGE, range)]).await;
        let expected = format!("bytes {}-{}/{}", part.start, part.end - 1, MIB + 7);
        assert_eq!(answer.status(), 206, "{range}");
        assert_eq!(answer.headers()[CONTENT_RANGE], *expected, "{range}");
        assert_eq!(whole(answer).await, content(MIB + 7).slice(part), "{range}");
    }
    assert_eq!(rig.given("/a", &[(RANGE, "bytes=9999999-")]).await.status(), 416);
    assert_eq!(rig.given("/a", &[(IF_NONE_MATCH, "\"a\"")]).await.status(), 304);
    let usage = rig.cache.usage();
    assert_eq!((usage.answers, usage.stored, usage.stored_bytes), (1, 1, MIB + 4096));
    assert!(usage.bytes < 4096, "the content is not in memory: {usage:?}");
    // What leaves is removed.
    assert_eq!(rig.cache.purge(&Purge::All), 1);
    rig.settled(|rig| rig.used() == 0 && rig.files().is_empty()).await;
}

#[tokio::test]
async fn all_who_ask_meanwhile_read_along_each_at_its_own_pace() {
    let rig = Rig::new();
    let (pieces, body) = announced(Some(MIB));
    let first = rig.fetch("/a").await.answer(body).await;
    assert!(status(&first).ends_with("fwd=uri-miss; detail=to-disk"), "{first:?}");
    let mut slow = first.into_body();
    send(&pieces, content(MIB).slice(..300_000)).await;
    // The second client has all that has come, though the first one has read nothing.
    let second = rig.given("/a", &[]).await;
    assert!(status(&second).contains("collapsed") && second.headers()["content-length"] == MIB.to_string());
    let mut second = second.into_body();
    let mut read = 0;
    while read < 300_000 {
        let frame = timeout(Duration::from_secs(5), second.frame()).await.expect("it need not wait");
        read += frame.expect("more").expect("no error").into_data().expect("data").len();
    }
    // A part of what has come, and of what has not.
    send(&pieces, content(MIB).slice(300_000..)).await;
    drop(pieces);
    let rest = second.collect().await.expect("whole").to_bytes();
    assert_eq!(rest, content(MIB).slice(read..));
    rig.settled(|rig| rig.cache.usage().stored == 1).await;
    assert_eq!(whole(rig.given("/a", &[]).await).await, content(MIB));
    // It leaves the cache, and the slow client gets all of it yet.
    rig.cache.purge(&Purge::All);
    let mut found = Vec::new();
    while let Some(frame) = slow.frame().await {
        found.extend_from_slice(&frame.expect("no error").into_data().expect("data"));
    }
    assert_eq!(found, content(MIB));
    drop(slow);
    rig.settled(|rig| rig.used() == 0 && rig.files().is_empty()).await;
}

#[tokio::test]
async fn a_range_of_all_is_kept_as_all_and_answered_as_a_range() {
    let rig = Rig::new();
    let all = [(RANGE, "bytes=0-")];
    let Turn::Fetch(pending) = rig.turn("/a", &all).await else { panic!("nothing is kept") };
    let mut sent = HeaderMap::new();
    sent.insert(RANGE, HeaderValue::from_static("bytes=0-"));
    pending.0.condition(&mut sent);
    assert!(sent.is_empty(), "the service is asked for all of it: {sent:?}");
    let answer = pending.answer(full_body(content(MIB))).await;
    assert_eq!((answer.status().as_u16(), whole(answer).await), (206, content(MIB)));
    rig.settled(|rig| rig.cache.usage().stored == 1).await;
    assert_eq!(whole(rig.given("/a", &[]).await).await, content(MIB));
    // Also where it is not kept.
    let Turn::Fetch(pending) = rig.turn("/b", &all).await else { panic!("nothing is kept") };
    let answer = pending.answer(full_body(content(3 * MIB))).await;
    assert_eq!((answer.status().as_u16(), status(&answer).ends_with("detail=too-large")), (206, true), "{answer:?}");
    assert_eq!(answer.headers()[CONTENT_RANGE], "bytes 0-3145727/3145728");
    // Any other one goes to the service as it is.
    let Turn::Fetch(pending) = rig.turn("/c", &[(RANGE, "bytes=0-5")]).await else { panic!("nothing is kept") };
    let mut sent = HeaderMap::new();
    sent.insert(RANGE, HeaderValue::from_static("bytes=0-5"));
    pending.0.condition(&mut sent);
    assert_eq!(sent.len(), 1);
}

#[tokio::test]
async fn nothing_is_kept_of_an_answer_that_breaks_off_or_that_nobody_waits_for() {
    let rig = Rig::new();
    let (pieces, body) = announced(Some(MIB));
    let client = rig.fetch("/a").await.answer(body).await;
    let along = rig.given("/a", &[]).await;
    send(&pieces, content(1000)).await;
    pieces.send(Err(BodyError::new(ErrorKind::Reset, "broke off"))).await.expect("somebody reads");
    for answer in [client, along] {
        let broken = answer.into_body().collect().await;
        assert_eq!(broken.map_err(|error| error.kind).err(), Some(ErrorKind::Reset), "it never looks whole");
    }
    rig.settled(|rig| rig.used() == 0 && rig.metrics.unkept(0, "incomplete") == 1).await;

    // One that ends early without an error.
    let (pieces, body) = announced(Some(MIB));
    let client = rig.fetch("/a").await.answer(body).await;
    send(&pieces, content(1000)).await;
    drop(pieces);
    assert!(client.into_body().collect().await.is_err());
    rig.settled(|rig| rig.used() == 0).await;

    // The first client leaves, and the second one gets all; then both leave.
    let (pieces, body) = announced(Some(5000));
    drop((rig.fetch("/a").await.answer(body).await, rig.given("/a", &[]).await));
    rig.settled(|rig| pieces.is_closed() && rig.used() == 0).await;
    let (pieces, body) = announced(Some(5000));
    let first = rig.fetch("/a").await.answer(body).await;
    let second = rig.given("/a", &[]).await;
    drop(first);
    send(&pieces, content(5000)).await;
    drop(pieces);
    assert_eq!(whole(second).await, content(5000));
    rig.settled(|rig| rig.cache.usage().stored == 1).await;
}

#[tokio::test]
async fn a_change_while_an_answer_is_written_leaves_no_old_answer_behind_and_no_new_reader() {
    let rig = Rig::new();
    let (pieces, body) = announced(Some(MIB));
    let client = rig.fetch("/a").await.answer(body).await;
    rig.cache.purge(&Purge::All);
    // Who comes after the change asks for himself.
    let later = rig.fetch("/a").await;
    send(&pieces, content(MIB)).await;
    drop(pieces);
    assert_eq!(whole(client).await, content(MIB));
    rig.settled(|rig| rig.used() == 0 && rig.cache.usage().stored == 0).await;
    drop(later);
    rig.keep("/a", MIB).await;
    assert_eq!(rig.cache.usage().stored, 1);
}

#[tokio::test]
async fn content_of_unknown_length_is_kept_up_to_the_bound_and_goes_on_beyond_it() {
    let rig = Rig::new();
    let (pieces, body) = announced(None);
    let client = rig.fetch("/a").await.answer(body).await;
    assert!(!client.headers().contains_key("content-length"));
    // Nobody can read along: there may be too much for the disk.
    let other = rig.fetch("/a").await.answer(full_body(content(MIB))).await;
    assert!(status(&other).ends_with("detail=disk-busy"), "{other:?}");
    for at in 0..4 {
        send(&pieces, content(MIB).slice(at * MIB / 4..(at + 1) * MIB / 4)).await;
    }
    drop(pieces);
    assert_eq!(whole(client).await, content(MIB));
    rig.settled(|rig| rig.cache.usage().stored == 1 && rig.used() == MIB as u64).await;
    assert_eq!(whole(rig.given("/a", &[]).await).await, content(MIB));

    let (pieces, body) = announced(None);
    let client = rig.fetch("/b").await.answer(body).await;
    let long = tokio::spawn(async move {
        for _ in 0..5 {
            send(&pieces, content(MIB)).await;
        }
    });
    assert_eq!(whole(client).await, content(MIB).repeat(5));
    long.await.expect("all was read");
    rig.settled(|rig| rig.metrics.unkept(0, "too-large") == 1 && rig.used() == MIB as u64).await;
}

#[tokio::test]
async fn all_files_together_are_within_the_bound_and_those_that_are_in_use_stay() {
    let rig = Rig::new();
    rig.keep("/used", 2 * MIB).await;
    for _ in 0..2 {
        assert_eq!(whole(rig.given("/used", &[]).await).await.len(), 2 * MIB);
    }
    for at in 0..40 {
        rig.keep(&format!("/{at}"), 2 * MIB - at).await;
        assert!(rig.used() <= 20 * MIB as u64);
        assert!(rig.files().iter().map(|(_, length)| length).sum::<u64>() <= 20 * MIB as u64);
    }
    assert_eq!(whole(rig.given("/used", &[]).await).await.len(), 2 * MIB);
    assert!(rig.cache.usage().evicted > 25);

    // Ten answers that are being sent have all of it: the next one streams.
    let mut held = Vec::new();
    let mut at = 100;
    while rig.used() + 2 * MIB as u64 <= 20 * MIB as u64 || held.len() < 10 {
        let (pieces, body) = announced(Some(2 * MIB));
        let answer = rig.fetch(&format!("/{at}")).await.answer(body).await;
        if status(&answer).ends_with("detail=disk-busy") {
            break;
        }
        held.push((pieces, answer));
        at += 1;
    }
    assert_eq!(held.len(), 10);
    let answer = rig.fetch("/more").await.answer(full_body(content(MIB))).await;
    assert!(status(&answer).ends_with("detail=disk-busy"), "{answer:?}");
    assert_eq!(whole(answer).await, content(MIB));
    drop(held);
    rig.settled(|rig| rig.used() == 0).await;
}

#[tokio::test]
async fn an_answer_as_long_as_the_bound_is_kept_also_where_that_is_no_whole_block() {
    let rig = Rig::of(20 * MIB as u64 + 10, 2 * MIB as u64 + 1);
    rig.keep("/a", 2 * MIB + 1).await;
    assert_eq!(whole(rig.given("/a", &[]).await).await, content(2 * MIB + 1));
}

#[tokio::test]
async fn an_opening_that_nobody_waits_for_leaves_no_file() {
    let rig = Rig::new();
    for _ in 0..50 {
        let disk = Arc::clone(rig.cache.disk().expect("there is one"));
        let mut opening = Box::pin(async move { disk.create(1, Duration::ZERO).await });
        // It is at the disk, or about to be.
        let _ = std::future::poll_fn(|context| Poll::Ready(opening.as_mut().poll(context).is_ready())).await;
        drop(opening);
    }
    rig.settled(|rig| rig.used() == 0).await;
    assert!(rig.files().is_empty());
}

#[tokio::test]
async fn files_that_somebody_else_has_removed_or_changed_are_fetched_anew() {
    let rig = Rig::new();
    for harm in [|path: &PathBuf| fs::remove_file(path), |path: &PathBuf| fs::write(path, "another")] {
        rig.keep("/a", MIB).await;
        let [(path, _)] = &rig.files()[..] else { panic!("one file: {:?}", rig.files()) };
        harm(path).expect("it is there");
        let answer = rig.fetch("/a").await.answer(full_body(content(5000))).await;
        assert_eq!(whole(answer).await, content(5000));
        rig.settled(|rig| rig.cache.usage().stored == 1).await;
        rig.cache.purge(&Purge::All);
        rig.settled(|rig| rig.files().is_empty()).await;
    }
}

#[tokio::test]
async fn a_disk_that_fails_costs_no_client_its_answer() {
    let rig = Rig::new();
    fs::remove_dir_all(rig.folder.path().join("answers")).expect("removed");
    let answer = rig.fetch("/a").await.answer(full_body(content(MIB))).await;
    assert!(status(&answer).ends_with("detail=disk-failed"), "{answer:?}");
    assert_eq!(whole(answer).await, content(MIB));
    rig.settled(|rig| rig.used() == 0).await;
}

#[tokio::test]
async fn a_start_empties_the_folder_touches_nothing_else_and_refuses_to_share_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/answers");
    let disk = CacheDisk::open(&path, 1 << 20).expect("it is made");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o700);
    let (stored, _) = disk.create(5, Duration::ZERO).await.expect("no failure").expect("room");
    let [file] = &fs::read_dir(&path)
        .expect("read")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            (path.extension().is_some()).then_some(path)
        })
        .collect::<Vec<_>>()[..]
    else {
        panic!("one file")
    };
    assert_eq!(fs::metadata(file).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert!(matches!(CacheDisk::open(&path, 1 << 20), Err(CacheDiskError::InUse(_))));
    // As after `kill -9`: the file stays, the lock goes.
    std::mem::forget(stored);
    let lock = fs::File::open(path.join("lock")).expect("it is there");
    fs::write(path.join("notes.txt"), "mine").expect("written");
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::rename(file, other.join("0000000000000000.answer")).expect("moved");
    fs::write(other.join("notes.txt"), "mine").expect("written");
    drop(lock);
    let disk = CacheDisk::open(&other, 1 << 20).expect("it can be used");
    assert_eq!(disk.used(), 0);
    let mut names: Vec<_> =
        fs::read_dir(&other).expect("read").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "notes.txt"]);
}

#[tokio::test]
async fn a_reader_of_the_rest_gets_its_part_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = CacheDisk::open(folder.path(), 20 * MIB as u64).expect("it can be used");
    let file = disk.create(4096, Duration::ZERO).await.expect("no failure").expect("room");
    let spool = spool::Spool::new(Arc::clone(&disk), file, None);
    let readers: Vec<_> = (0..2).map(|_| spool.join().expect("it is open")).collect();
    let pieces = [&b"abc"[..], b"defg", b"hij"].map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
    let trailers = Ok(Frame::trailers(HeaderMap::new()));
    let body = StreamBody::new(futures_util::stream::iter(pieces.into_iter().chain([trailers]))).boxed_unsync();
    let plan = spool::SpoolPlan { most: 2, unattended: false };
    assert_eq!(spool.write(body, &plan, |_| true).await, spool::SpoolOutcome::TooLarge);
    let [first, second]: [_; 2] = readers.try_into().unwrap_or_else(|_| panic!("two"));
    assert_eq!(first.body(4..8).collect().await.expect("it gets the rest").to_bytes(), "efgh");
    let error = second.body(0..5).collect().await.err();
    assert_eq!(error.map(|error| error.kind), Some(ErrorKind::Host), "only one can have it");
}
