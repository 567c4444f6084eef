//! Looks at pages outside, at the hosts that `egress` of its section names.

atoll_guest::service!(Checker, path: "../wit", world: "checker-service");
atoll_guest::errors!(Error { unavailable });

use atoll_guest::http;
use bindings::exports::example::shortener::checker::{Error, Guest};

struct Checker;

impl Guest for Checker {
    async fn look(url: String) -> Result<u16, Error> {
        Ok(http::head(&url).await?.status)
    }
}
