//! The promises of the room, each written once and held over every backend: the file, and real servers of the kinds
//! that there are. Without a server (`just state-backends` installs them) those of servers pass, and say so.

mod outages;
mod postgres_server;
mod promises;
mod servers;
mod severing_proxy;
mod tenures;

use super::concurrency::store_on;
use super::sim_disk::SimDisk;
use crate::state::{Settings, Store};
use postgres_server::PostgresServer;

/// Where the data are.
enum TestedBackend {
    Embedded(SimDisk),
    Postgres(PostgresServer),
}

impl TestedBackend {
    /// A store over the data `namespace`; of a file there is one.
    async fn open(&self, namespace: &str) -> Store {
        match self {
            Self::Embedded(disk) => store_on(disk, &Settings::default()),
            Self::Postgres(server) => Store::connect(&server.settings(namespace)).await.unwrap(),
        }
    }

    /// How often a random test is run: a server takes milliseconds for what a file in memory does in microseconds.
    fn cases(&self) -> usize {
        match self {
            Self::Embedded(_) => 100,
            Self::Postgres(_) => 20,
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
                super::$promise(super::TestedBackend::Postgres(server)).await;
            })*
        }
        mod postgres_of_the_wheel {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(server) = super::PostgresServer::of_the_wheel().await else { return };
                super::$promise(super::TestedBackend::Postgres(server)).await;
            })*
        }
    };
}
use over_each_backend;
