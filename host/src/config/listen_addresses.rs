//! The addresses on which the sections of a manifest have the host listen: no two may be the same.

use super::reader::finding::ValueOrigin;
use super::reader::key::Sourced;
use super::reader::report::Report;
use std::net::SocketAddr;

/// The addresses that were read so far, each with the word for who listens there.
#[derive(Default)]
pub(super) struct ListenAddresses(Vec<(&'static str, Sourced<SocketAddr>)>);

impl ListenAddresses {
    /// Adds one, and reports each of those before that has its port. Port 0 means a different free port for each.
    pub(super) fn add(&mut self, name: &'static str, address: &Sourced<SocketAddr>, report: &Report) {
        let other = address.value;
        for (taken, first) in &self.0 {
            let one = first.value;
            let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            if one.port() == 0 || one.port() != other.port() || !overlap {
                continue;
            }
            let origin = if address.origin == ValueOrigin::Absent { &first.origin } else { &address.origin };
            let message = format!("{taken} ({one}) and {name} ({other}) cannot listen on the same port");
            report.push_if_whole(origin.clone(), message, "give one of them another port, or port 0 for any free one");
        }
        self.0.push((name, address.clone()));
    }
}
