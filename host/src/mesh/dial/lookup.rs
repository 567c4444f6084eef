//! The addresses of an outside host, looked up when a connection needs them.
//!
//! The system's resolver blocks a thread until it answers. That takes tens of seconds when no name server answers. So a
//! host has one look-up at a time, however many connections wait for it and however many give up. All that waited share
//! its answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tokio::net::lookup_host;
use tokio::sync::Mutex;

/// The addresses, or why there are none.
type Resolution = Result<Arc<[SocketAddr]>, Arc<str>>;

/// The look-up of one host.
pub(super) struct Lookup {
    host: Arc<str>,
    port: u16,
    /// The last answer, and when it came. The lock is held during a look-up.
    last: Arc<Mutex<Option<(Instant, Resolution)>>>,
}

impl Lookup {
    /// `host`: a name, or an address without brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, last: Arc::default() }
    }

    /// The host's addresses, from an answer that came after this call began.
    pub(super) async fn addresses(&self) -> Resolution {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, self.port)].into());
        }
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some((_, found)) = last.as_ref().filter(|(came, _)| *came >= asked) {
            return found.clone();
        }
        let (host, port) = (Arc::clone(&self.host), self.port);
        // The look-up runs in a task of its own, which holds the lock. So if this future is dropped early, the lock
        // stays taken until the resolver's thread is free, and no second look-up occupies a second thread meanwhile.
        let task = tokio::spawn(async move {
            let found = match lookup_host((&*host, port)).await {
                Ok(found) => Ok(found.collect()),
                Err(error) => Err(error.to_string().into()),
            };
            *last = Some((Instant::now(), Resolution::clone(&found)));
            found
        });
        task.await.unwrap_or_else(|error| Err(error.to_string().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_look_up() {
        for text in ["192.0.2.7", "2001:db8::7"] {
            let found = Lookup::new(text, 81).addresses().await.unwrap();
            assert_eq!(*found, [SocketAddr::new(text.parse().unwrap(), 81)]);
        }
    }

    #[tokio::test]
    async fn waiting_connections_share_an_answer_and_later_ones_look_up_again() {
        let lookup = Lookup::new("localhost", 81);
        let shared: Arc<[SocketAddr]> = [SocketAddr::from(([192, 0, 2, 7], 81))].into();
        let mut held = Arc::clone(&lookup.last).lock_owned().await;
        let answer = Ok(Arc::clone(&shared));
        let (found, ()) = tokio::join!(lookup.addresses(), async move {
            *held = Some((Instant::now(), answer));
        });
        assert_eq!(found.unwrap(), shared, "the answer came while the first look-up waited");
        assert_ne!(lookup.addresses().await.unwrap(), shared, "the second looks up again");
    }
}
