//! Owns the data in Redis or Valkey: its connections and their wire, the scripts, and what becomes of a commit whose
//! answer was lost.
//! Always holds: what a batch depends on is compared in the script that writes it, and so is whose data they are: a
//! host that was paused, or whose lease has ended, writes nothing over; a batch that was given up is never written
//! later; a server that acknowledges what is not on its disk, or may drop keys, is refused, unless the manifest takes
//! the former.
//! Never: repeats what may have been done; makes a script out of a value.

mod connection;
mod database;
mod failure;
mod frozen_moment;
mod pages;
mod reader;
mod resp;
mod script;
mod server_facts;
mod session;
mod writer;

pub(super) use database::RedisDatabase;
#[cfg(test)]
pub(super) use script::{CLAIM, ERASE, FREEZE, RedisScript, THAW, WRITE};
