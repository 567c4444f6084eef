//! What must hold of a Redis or Valkey, and of the hosts that have their data there.

use super::super::{name, put, puts};
use super::outages::{closed, eventually};
use super::postgres_server::TIMEOUT;
use super::redis_server::RedisServer;
use super::severing_proxy::SeveringProxy;
use crate::state::redis::CLAIM;
use crate::state::{
    BackendPassword, BucketExport, Change, RemoteSettings, Settings, StateError, Store, Transaction, ValueForm,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// With changes of the settings of the backend.
fn changed(mut settings: Settings, change: impl FnOnce(&mut RemoteSettings)) -> Settings {
    change(settings.remote.as_mut().unwrap());
    settings
}

async fn write(store: &Store, value: &str) -> Result<(), StateError> {
    store.bucket(&name("users")).commit(puts(&[("a", value)])).await.map(drop)
}

async fn value(store: &Store) -> Vec<u8> {
    store.bucket(&name("users")).get(vec!["a".into()]).await.unwrap().remove(0).unwrap().value
}

/// What a host is told that wants the data for itself; `young`: the server was started just now.
async fn claim(server: &RedisServer, prefix: &str, young: bool) -> String {
    server.run(&CLAIM, &[prefix, "next", "next", "10000", "1", "1", if young { "1" } else { "0" }]).await
}

/// Gives the data back, in the holder's place.
const FREES: &str = "redis.call('DEL', ARGV[1] .. 'lock') redis.call('HSET', ARGV[1] .. 'meta', 'released', \
                     redis.call('HGET', ARGV[1] .. 'meta', 'holder'))";

/// A second store over the data that another one has, as if that one had been silent for longer than its lease: it is
/// ended by force. That one may have it back before; then it is tried again.
async fn taken_over(server: &RedisServer, namespace: &str, settings: &Settings) -> Store {
    let until = Instant::now() + TIMEOUT;
    loop {
        server.ask(&["EVAL", FREES, "0", &format!("{namespace}:")]).await;
        if let Ok(Ok(store)) = timeout(Duration::from_secs(2), Store::connect(settings)).await {
            return store;
        }
        assert!(Instant::now() < until, "the data are free for a moment");
    }
}

/// Whether it learns by itself, without a commit, that it has lost its data; and says so from then on.
async fn is_superseded(store: &Store, says: &str) {
    let error = timeout(TIMEOUT, store.superseded()).await.expect("it notices");
    assert!(matches!(error, StateError::Superseded { .. }) && error.to_string().contains(says), "{error}");
    assert_eq!(write(store, "too late").await, Err(error));
    assert!(!store.takes_writes() && !store.metrics().is_away(), "`/readyz` says that it takes no writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_alone_has_the_data_and_gives_them_back_at_its_end() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let first = Store::connect(&server.settings("alone")).await.unwrap();
    write(&first, "1").await.unwrap();
    let settings = server.settings("alone");
    let second = tokio::spawn(async move { Store::connect(&settings).await });
    let other = Store::connect(&server.settings("another")).await.unwrap();
    assert!(!second.is_finished(), "it waits");
    // Longer than anybody waits: whoever gets the data has not waited for the end of the lease.
    assert_eq!(server.ask(&["PEXPIRE", "alone:lock", "3600000"]).await, ":1\r\n");
    closed(first).await;
    let second = second.await.unwrap().unwrap();
    assert_eq!(value(&second).await, b"1");
    assert!(other.bucket(&name("users")).get(vec!["a".into()]).await.unwrap()[0].is_none());
    closed(second).await;
    closed(other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_ends_while_it_looks_at_its_server_gives_the_data_back() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("looks")).await.unwrap();
    write(&store, "1").await.unwrap();
    // Every question waits meanwhile, and a look comes each second: one is under way when the store is closed.
    server.ask(&["CLIENT", "PAUSE", "3000", "ALL"]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    closed(store).await;
    assert_eq!(server.ask(&["EXISTS", "looks:lock"]).await, ":0\r\n", "the next host need not wait for the lease");
}

/// As `kill -9` of the host does it: its connections end, and the lease is not given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_of_a_host_that_was_killed_are_free_when_its_lease_ends() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let first = Store::connect(&server.settings("killed")).await.unwrap();
    write(&first, "1").await.unwrap();
    drop(first);
    let second = Store::connect(&server.settings("killed")).await.unwrap();
    assert_eq!(value(&second).await, b"1");
    closed(second).await;
}

/// As a host that is paused: its connection stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_a_host_that_is_silent_is_waited_for() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let silent = server.client_named("atoll:silent").await;
    let began = Instant::now();
    server.ask(&["SET", "silent:lock", "silent", "PX", "5000"]).await;
    let store = Store::connect(&server.settings("silent")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(4900), "{:?}", began.elapsed());
    drop(silent);
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_write_of_a_host_whose_lease_another_one_has_is_refused_by_the_server() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    for shared in [false, true] {
        let namespace = if shared { "late_shared" } else { "late" };
        let settings = server.settings(namespace);
        let first = Store::connect(&settings).await.unwrap();
        write(&first, "1").await.unwrap();
        let second = taken_over(&server, namespace, &changed(settings, |remote| remote.shared = shared)).await;
        let refused = write(&first, "2").await;
        assert!(matches!(refused, Err(StateError::Superseded { .. })), "{refused:?}");
        write(&second, "3").await.unwrap();
        is_superseded(&first, "another host has had the data").await;
        assert_eq!(value(&first).await, b"3", "what it reads is never old");
        closed(second).await;
        closed(first).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_share_lose_no_change_of_one_another_and_let_nobody_have_the_data_alone() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let settings = changed(server.settings("shared"), |remote| remote.shared = true);
    let mut counting = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let settings = settings.clone();
        counting.spawn(async move {
            let store = Store::connect(&settings).await.unwrap();
            let bucket = store.bucket(&name("users"));
            assert!(bucket.check_alone().is_err());
            let mut done = 0;
            while done < 25 {
                let found = bucket.get(vec!["n".into()]).await.unwrap().remove(0);
                let (number, version) = found.map_or((0, 0), |found| {
                    (String::from_utf8(found.value).unwrap().parse::<u64>().unwrap(), found.version)
                });
                let writes = vec![put("n", &(number + 1).to_string()), ("sum".into(), Change::Add(1))];
                let checks = vec![("n".into(), version)];
                match bucket.commit(Transaction { checks, writes, beside: Vec::new() }).await {
                    Ok(_) => done += 1,
                    Err(StateError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            store
        });
    }
    let stores = counting.join_all().await;
    let found = stores[0].bucket(&name("users")).get(vec!["n".into(), "sum".into()]).await.unwrap();
    assert!(found.into_iter().all(|found| found.unwrap().value == b"75"));
    let alone = server.settings("shared");
    assert_eq!(claim(&server, "shared:", false).await, "taken", "it waits for those who share");
    for store in stores {
        closed(store).await;
    }
    closed(Store::connect(&alone).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_data_have_gone_back_or_are_gone_writes_nothing_more() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let (back, gone) = (server.settings("back"), server.settings("gone"));
    let (first, second) = (Store::connect(&back).await.unwrap(), Store::connect(&gone).await.unwrap());
    for store in [&first, &second] {
        write(store, "1").await.unwrap();
        write(store, "2").await.unwrap();
    }
    server.ask(&["HSET", "back:meta", "version", "1"]).await;
    is_superseded(&first, "older than what this host was told").await;
    server.ask(&["FLUSHALL"]).await;
    is_superseded(&second, "older than what this host was told").await;
    closed(first).await;
    closed(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_keep_what_it_acknowledges_is_refused_unless_that_is_said() {
    for (option, value) in [("--appendfsync", "everysec"), ("--appendonly", "no")] {
        let Some(server) = RedisServer::any(&[option, value]).await else { return };
        let refused = Store::connect(&server.settings("durable")).await.unwrap_err();
        assert!(matches!(refused, StateError::Unfit { .. }), "{refused:?}");
        assert!(refused.to_string().contains(&format!("{} {value}", &option[2..])), "{refused}");
        let store = Store::connect(&changed(server.settings("durable"), |remote| remote.durable = false)).await;
        let store = store.unwrap();
        write(&store, "1").await.unwrap();
        closed(store).await;
    }
    let Some(server) = RedisServer::any(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await else {
        return;
    };
    let settings = changed(server.settings("evicting"), |remote| remote.durable = false);
    let refused = Store::connect(&settings).await.unwrap_err();
    assert!(refused.to_string().contains("maxmemory-policy allkeys-lru"), "{refused}");
    let Some(server) = RedisServer::any(&["--cluster-enabled", "yes"]).await else { return };
    let refused = Store::connect(&server.settings("cluster")).await.unwrap_err();
    assert!(refused.to_string().contains("cluster mode"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_sync_less_meanwhile_gets_no_more_writes() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("told")).await.unwrap();
    write(&store, "1").await.unwrap();
    server.ask(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    eventually("the store notices", async || {
        matches!(write(&store, "2").await, Err(StateError::Unfit { .. } | StateError::Unavailable { .. }))
    })
    .await;
    server.ask(&["CONFIG", "SET", "appendfsync", "always"]).await;
    eventually("it writes again", async || write(&store, "3").await.is_ok()).await;
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_a_commit_whole() {
    let Some(server) = RedisServer::any(&["--maxmemory", "12mb", "--maxmemory-policy", "noeviction"]).await else {
        return;
    };
    let store = Store::connect(&server.settings("full")).await.unwrap();
    let bucket = store.bucket(&name("users"));
    let writer = async || {
        let clients = server.ask(&["CLIENT", "LIST"]).await;
        let line = clients.lines().find(|line| line.contains("name=atoll:")).unwrap().to_owned();
        line.split(' ').next().unwrap().to_owned()
    };
    let (mut number, before) = (0, writer().await);
    let refused = loop {
        let writes = ["x", "y"].map(|key| (format!("{key}{number}").into_bytes(), Change::Put(vec![7; 500_000])));
        match bucket.commit(Transaction { writes: writes.into(), ..Transaction::default() }).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 100, "it is full some time");
    };
    assert!(matches!(refused, StateError::Unavailable { cause: "full", .. }), "{refused:?}");
    let keys = ["x", "y"].map(|key| format!("{key}{number}").into_bytes());
    assert_eq!(bucket.get(keys.into()).await.unwrap(), [None, None]);
    let again = write(&store, &"7".repeat(1_000_000)).await;
    assert!(matches!(again, Err(StateError::Unavailable { cause: "full", .. })), "{again:?}");
    assert_eq!(writer().await, before, "it is still the same server, and the same session");
    assert_eq!(store.erase(&name("users")).await, Ok(true), "it makes room");
    eventually("it writes again", async || write(&store, "1").await.is_ok()).await;
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_at_once_and_not_shown() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let wrong = BackendPassword::new("wr0ng".into());
    for (password, says) in [(Some(wrong), "WRONGPASS"), (None, "NOAUTH")] {
        let settings = changed(server.settings("login"), |remote| remote.password = password);
        let refused = Store::connect(&settings).await.unwrap_err();
        assert!(matches!(refused, StateError::Unfit { .. }), "{refused:?}");
        let text = format!("{refused} {refused:?} {settings:?}");
        assert!(text.contains(says) && !text.contains("wr0ng"), "{text}");
    }
    let settings = changed(server.settings("login"), |remote| remote.database = "99".into());
    let refused = Store::connect(&settings).await.unwrap_err();
    assert!(matches!(refused, StateError::Unfit { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_the_one_that_takes_writes_is_used() {
    let (Some(mut primary), Some(mut replica)) = (RedisServer::any(&[]).await, RedisServer::any(&[]).await) else {
        return;
    };
    replica.follow(Some(&primary)).await;
    let both =
        changed(primary.settings("both"), |remote| remote.servers.insert(0, ("127.0.0.1".into(), replica.port())));
    let store = Store::connect(&both).await.unwrap();
    write(&store, "1").await.unwrap();
    assert_eq!(primary.ask(&["EXISTS", "both:meta"]).await, ":1\r\n");
    eventually("the replica has it", async || replica.ask(&["EXISTS", "both:keys:users"]).await == ":1\r\n").await;
    // The replica takes over, with all that was acknowledged.
    replica.follow(None).await;
    primary.follow(Some(&replica)).await;
    eventually("it writes there", async || write(&store, "2").await.is_ok()).await;
    assert_eq!(value(&store).await, b"2", "and reads there");
    assert!(replica.ask(&["HGET", "both:values:users", "a"]).await.ends_with("2\r\n"));
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_while_a_moment_is_read_is_still_in_it_and_nothing_is_kept_afterwards() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let store = Store::connect(&server.settings("moment")).await.unwrap();
    let bucket = store.bucket(&name("users"));
    for part in 0..3 {
        let writes = (0..1000).map(|n| put(&format!("{part}/{n:04}"), "1")).collect();
        bucket.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    }
    let mut export = BucketExport::begin(&bucket, ValueForm::Plain).await.unwrap();
    export.next().await.unwrap();
    assert_eq!(store.erase(&name("users")).await, Ok(true));
    assert!(bucket.keys(Vec::new(), None, 10).await.unwrap().items.is_empty());
    bucket.commit(puts(&[("new", "1"), ("0/0000", "2")])).await.unwrap();
    while export.next().await.unwrap().is_some() {}
    assert_eq!(export.entries(), 3000);
    drop(export);
    server.has_nothing_left_open(1).await;
    let mut export = BucketExport::begin(&bucket, ValueForm::Plain).await.unwrap();
    bucket.commit(puts(&[("new", "2")])).await.unwrap();
    // As after a minute in which nobody has read it.
    server.ask(&["ZADD", "moment:frozen", "1", &server.frozen("moment").await]).await;
    bucket.commit(puts(&[("new", "3")])).await.unwrap();
    server.has_nothing_left_open(1).await;
    export.next().await.unwrap();
    let gone = export.next().await.map(drop).unwrap_err();
    assert!(gone.to_string().contains("begin again"), "{gone}");
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_the_certificate_of_the_server_is_checked() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::from_params(&params, &key);
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&own, &issuer).unwrap();
    let (cert, key) = (server.file("cert.pem", &certificate.pem()), server.file("key.pem", &own.serialize_pem()));
    let ca = server.file("ca.pem", &authority.pem());
    let other = KeyPair::generate().unwrap();
    let other_ca = server.file("other.pem", &params.self_signed(&other).unwrap().pem());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (setting, value) in [
        ("tls-cert-file", cert.display().to_string()),
        ("tls-key-file", key.display().to_string()),
        ("tls-ca-cert-file", ca.display().to_string()),
        ("tls-auth-clients", "no".into()),
        ("tls-port", port.to_string()),
    ] {
        let set = server.ask(&["CONFIG", "SET", setting, &value]).await;
        if set.contains("nknown") || set.contains("can't set") {
            eprintln!("this server was built without TLS: nothing was tested");
            return;
        }
        assert_eq!(set, "+OK\r\n", "{setting}");
    }
    let with = |ca: &std::path::Path| {
        changed(server.settings_at(port, "tls"), |remote| {
            remote.tls = true;
            remote.ca = Some(ca.to_owned());
        })
    };
    let store = Store::connect(&with(&ca)).await.unwrap();
    write(&store, "1").await.unwrap();
    closed(store).await;
    let refused = Store::connect(&with(&other_ca)).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    // A certificate of the right authority for another name.
    let own = KeyPair::generate().unwrap();
    let elsewhere = CertificateParams::new(vec!["other.test".into()]).unwrap().signed_by(&own, &issuer).unwrap();
    let (cert, key) = (server.file("cert.pem", &elsewhere.pem()), server.file("key.pem", &own.serialize_pem()));
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let set = server.ask(&["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key]).await;
    assert_eq!(set, "+OK\r\n");
    let refused = Store::connect(&with(&ca)).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

/// Also if its lease has ended while the server was away, and it comes back later than the one that waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_waits_gets_nothing_by_a_restart_of_the_server() {
    let Some(mut server) = RedisServer::any(&[]).await else { return };
    let proxy = SeveringProxy::before(server.port(), b"nothing is cut".to_vec()).await;
    let first = Store::connect(&server.settings_at(proxy.port(), "waits")).await.unwrap();
    write(&first, "1").await.unwrap();
    proxy.shut();
    server.stop();
    server.start_again().await;
    server.ask(&["DEL", "waits:lock"]).await;
    assert_eq!(claim(&server, "waits:", true).await, "taken", "the data stay where they were");
    proxy.open();
    eventually("the first one writes", async || write(&first, "2").await.is_ok()).await;
    closed(first).await;
    // Those that were given back are free at once.
    server.stop();
    server.start_again().await;
    assert!(claim(&server, "waits:", true).await.starts_with("ok "));
}

/// As after a failover, when the server that was cut off is there again and does not know it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_of_the_server_that_is_written_to_also_if_another_one_says_it_is_the_primary() {
    let (Some(mut first), Some(mut second)) = (RedisServer::any(&[]).await, RedisServer::any(&[]).await) else {
        return;
    };
    second.follow(Some(&first)).await;
    let both = changed(first.settings("two"), |remote| remote.servers.push(("127.0.0.1".into(), second.port())));
    let store = Store::connect(&both).await.unwrap();
    write(&store, "1").await.unwrap();
    eventually("the replica has it", async || second.ask(&["EXISTS", "two:keys:users"]).await == ":1\r\n").await;
    first.kill();
    second.follow(None).await;
    eventually("it writes there", async || write(&store, "2").await.is_ok()).await;
    first.start_again().await;
    for _ in 0..20 {
        assert_eq!(value(&store).await, b"2", "not what the other one has");
        let clients = second.ask(&["CLIENT", "LIST"]).await;
        let reads = clients.lines().find(|line| line.contains("name=atoll ")).unwrap();
        let id = reads.trim_start_matches("id=").split(' ').next().unwrap();
        assert_eq!(second.ask(&["CLIENT", "KILL", "ID", id]).await, ":1\r\n");
    }
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_share_see_too_that_a_commit_or_an_erasure_is_gone() {
    let Some(server) = RedisServer::any(&[]).await else { return };
    let settings = changed(server.settings("sharing"), |remote| remote.shared = true);
    for erases in [false, true] {
        let store = Store::connect(&settings).await.unwrap();
        write(&store, "1").await.unwrap();
        let before = server.ask(&["HGET", "sharing:meta", "version"]).await;
        if erases {
            store.erase(&name("users")).await.unwrap();
        } else {
            write(&store, "2").await.unwrap();
        }
        server.ask(&["HSET", "sharing:meta", "version", before.lines().nth(1).unwrap()]).await;
        is_superseded(&store, "older than what this host was told").await;
        closed(store).await;
    }
}
