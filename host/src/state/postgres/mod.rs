//! Owns the data in PostgreSQL: its sessions, its tables, the transaction of a batch, and what becomes of a commit
//! whose answer was lost.
//! Always holds: a session whose transaction did not end is closed, and never used again; one host at a time writes,
//! unless all say that they share, and one whose data another host has had since writes nothing more; a server that
//! acknowledges what is not on its disk is refused, unless the manifest takes it.
//! Never: sends a value as part of a statement's text.

mod database;
mod failure;
mod frozen_rows;
mod read_pool;
mod rows;
mod schema;
mod session;
mod writer;

pub(super) use database::PostgresDatabase;
