//! What must hold of a server, and of the hosts that share one.

use super::super::{name, put, puts};
use super::postgres_server::PostgresServer;
use crate::state::postgres::connect_to_either;
use crate::state::{BackendPassword, Change, Settings, StateError, Store, Transaction};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// With changes of the settings of the backend.
fn changed(mut settings: Settings, change: impl FnOnce(&mut crate::state::RemoteSettings)) -> Settings {
    change(settings.remote.as_mut().unwrap());
    settings
}

async fn closed(store: Store) {
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_alone_has_the_data_and_the_next_one_waits_for_its_end() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let first = Store::connect(&server.settings("alone")).await.unwrap();
    first.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    let settings = server.settings("alone");
    let second = tokio::spawn(async move { Store::connect(&settings).await });
    let other = Store::connect(&server.settings("another")).await.unwrap();
    assert!(!second.is_finished(), "it waits");
    closed(first).await;
    let second = second.await.unwrap().unwrap();
    assert!(second.bucket(&name("users")).get(vec!["a".into()]).await.unwrap()[0].is_some());
    assert!(other.bucket(&name("users")).get(vec!["a".into()]).await.unwrap()[0].is_none());
    closed(second).await;
    closed(other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_share_lose_no_change_of_one_another() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
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
    for store in stores {
        closed(store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_sync_is_refused_unless_that_is_said() {
    let Some(server) = PostgresServer::any(&["fsync=off", "synchronous_commit=off"]).await else { return };
    let refused = Store::connect(&server.settings("durable")).await.unwrap_err();
    assert!(refused.to_string().contains("fsync = off"), "{refused}");
    let settings = changed(server.settings("durable"), |remote| remote.durable = false);
    let store = Store::connect(&settings).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    closed(store).await;
}

/// A server that acknowledges before it syncs does so by a setting of the session, which the host sets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_its_commits_synced_whatever_the_server_does_by_itself() {
    let Some(server) = PostgresServer::any(&["synchronous_commit=off"]).await else { return };
    let store = Store::connect(&server.settings("synced")).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    // Another session cannot see a setting of this one; the position of the log that is on the disk can be seen.
    let behind = "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()";
    let client = server.client().await;
    let row = client.query_one(behind, &[]).await.unwrap();
    assert!(!row.get::<_, bool>(0), "all that was written is on the disk");
    closed(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_at_once_and_not_shown() {
    let Some(server) = PostgresServer::any(&[]).await else { return };
    let wrong = BackendPassword::new("wr0ng".into());
    let settings = changed(server.settings("login"), |remote| remote.password = Some(wrong));
    let refused = Store::connect(&settings).await.unwrap_err();
    assert!(matches!(refused, StateError::Unfit { .. }), "{refused:?}");
    let text = format!("{refused} {refused:?} {settings:?}");
    assert!(text.contains("password authentication failed") && !text.contains("wr0ng"), "{text}");
    let settings = changed(server.settings("login"), |remote| remote.database = "absent".into());
    let refused = Store::connect(&settings).await.unwrap_err();
    assert!(matches!(refused, StateError::Unfit { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_the_certificate_of_the_server_is_checked() {
    let Some(mut server) = PostgresServer::any(&[]).await else { return };
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
    server
        .restart_with(&[
            "ssl=on",
            &format!("ssl_cert_file={}", cert.display()),
            &format!("ssl_key_file={}", key.display()),
        ])
        .await;
    let with = |ca: &std::path::Path| {
        changed(server.settings("tls"), |remote| {
            remote.tls = true;
            remote.ca = Some(ca.to_owned());
        })
    };
    let store = Store::connect(&with(&ca)).await.unwrap();
    store.bucket(&name("users")).commit(puts(&[("a", "1")])).await.unwrap();
    closed(store).await;
    let refused = Store::connect(&with(&other_ca)).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

/// As a name that leads to a primary and its standbys. Both servers take the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_addresses_of_one_name_the_one_that_takes_writes_is_used() {
    let Some(first) = PostgresServer::any(&["default_transaction_read_only=on"]).await else { return };
    let Some(second) = PostgresServer::any(&[]).await else { return };
    let settings = first.settings("addresses");
    let remote = settings.remote.as_ref().unwrap();
    let opened = connect_to_either(remote, ("127.0.0.1", second.port())).await.map(drop);
    assert_eq!(opened, Ok(()));
    let ask = "SELECT to_regclass('addresses.meta') IS NOT NULL";
    let has_tables =
        async |server: &PostgresServer| -> bool { server.client().await.query_one(ask, &[]).await.unwrap().get(0) };
    assert_eq!((has_tables(&first).await, has_tables(&second).await), (false, true));
}
