//! The promises of the room, each written once and held over every backend: the file, and real servers of the kinds
//! that there are. Without a server (`just state-backends` installs them) those of servers pass, and say so.

mod damage;
mod outages;
mod postgres_server;
mod promises;
mod redis_commits;
mod redis_hosts;
mod redis_rights;
mod redis_server;
mod refusals;
mod servers;
mod severing_proxy;
mod tenures;
mod tested_server;

use super::concurrency::store_on;
use super::sim_disk::SimDisk;
use crate::state::{Settings, Store};
use tested_server::TestedServer;

/// Where the data are.
enum TestedBackend {
    Embedded(SimDisk),
    Server(TestedServer),
}

impl TestedBackend {
    /// A store over the data `namespace`; of a file there is one.
    async fn open(&self, namespace: &str) -> Store {
        match self {
            Self::Embedded(disk) => store_on(disk, &Settings::default()),
            Self::Server(server) => Store::connect(&server.settings(namespace)).await.unwrap(),
        }
    }

    /// How often a random test is run: a server takes milliseconds for what a file in memory does in microseconds.
    fn cases(&self) -> usize {
        match self {
            Self::Embedded(_) => 100,
            Self::Server(_) => 20,
        }
    }
}

/// Makes each promise a test of each backend.
macro_rules! over_each_backend {
    ($($promise:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let disk = super::super::super::sim_disk::SimDisk::default();
                super::$promise(super::TestedBackend::Embedded(disk)).await;
            })*
        }
        mod postgres_of_the_system {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::PostgresServer::of_the_system().await else { return };
                let server = super::TestedServer::Postgres(server);
                super::$promise(super::TestedBackend::Server(server)).await;
            })*
        }
        mod postgres_of_the_wheel {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::PostgresServer::of_the_wheel().await else { return };
                let server = super::TestedServer::Postgres(server);
                super::$promise(super::TestedBackend::Server(server)).await;
            })*
        }
        mod redis_of_the_system {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::RedisServer::of_the_system().await else { return };
                let server = super::TestedServer::Redis(server);
                super::$promise(super::TestedBackend::Server(server)).await;
            })*
        }
        mod valkey_of_the_wheel {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::RedisServer::of_the_wheel().await else { return };
                let server = super::TestedServer::Redis(server);
                super::$promise(super::TestedBackend::Server(server)).await;
            })*
        }
    };
}
use over_each_backend;

/// Makes each outage a test of each kind of server.
macro_rules! over_each_server {
    ($($outage:ident)*) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $outage() {
                let Some(server) = super::super::postgres_server::PostgresServer::any(&[]).await else { return };
                super::$outage(super::TestedServer::Postgres(server)).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $outage() {
                let Some(server) = super::super::redis_server::RedisServer::of_the_system().await else { return };
                super::$outage(super::TestedServer::Redis(server)).await;
            })*
        }
        mod valkey {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $outage() {
                let Some(server) = super::super::redis_server::RedisServer::of_the_wheel().await else { return };
                super::$outage(super::TestedServer::Redis(server)).await;
            })*
        }
    };
}
use over_each_server;
