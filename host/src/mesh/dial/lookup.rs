//! The addresses of an outside host, looked up when a connection needs them.
//!
//! The system's resolver blocks a thread until it answers, which takes it tens of seconds when nobody does. So there is one look-up of a host
//! at a time, however many connections wait and however many of them give up; those that waited for it share its answer.

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
    /// The last answer, and when it came. Held while there is a look-up.
    last: Arc<Mutex<Option<(Instant, Resolution)>>>,
}

impl Lookup {
    /// `host`: a name, or an address without brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, last: Arc::default() }
    }

    /// The host's addresses, by an answer that came after this was asked.
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
        // A task of its own: it holds the lock until the thread is free, even if who asked has gone.
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
    async fn an_address_is_its_own_answer() {
        for text in ["192.0.2.7", "2001:db8::7"] {
            let found = Lookup::new(text, 81).addresses().await.unwrap();
            assert_eq!(*found, [SocketAddr::new(text.parse().unwrap(), 81)]);
        }
    }

    #[tokio::test]
    async fn those_who_waited_share_an_answer_and_those_who_come_later_do_not() {
        let lookup = Lookup::new("localhost", 81);
        let shared: Arc<[SocketAddr]> = [SocketAddr::from(([192, 0, 2, 7], 81))].into();
        let mut held = Arc::clone(&lookup.last).lock_owned().await;
        let answer = Ok(Arc::clone(&shared));
        let (found, ()) = tokio::join!(lookup.addresses(), async move {
            *held = Some((Instant::now(), answer));
        });
        assert_eq!(found.unwrap(), shared, "it came while the first waited");
        assert_ne!(lookup.addresses().await.unwrap(), shared, "the second asks anew");
    }
}
