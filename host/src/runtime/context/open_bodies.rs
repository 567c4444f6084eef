//! The bodies that a guest of WASI 0.3 writes and others read.

use crate::base::StreamedContent;
use crate::runtime::values::read_ahead::{ReadAhead, WeakReadAhead};
use http::Request;
use http_body_util::BodyExt;
use wasmtime_wasi_http::WasiBody;

/// The bodies that the guest may not have ended yet.
#[derive(Default)]
pub(super) struct OpenBodies {
    /// Whether the guest writes the body that is converted next. The other kind is one that the guest has got from the
    /// host, such as a client's body, and passes on: it ends without the guest. `None` for a body of WASI 0.2, which
    /// is not converted.
    guest_writes: Option<bool>,
    /// Apart from the others: an instance that makes no requests has one body at a time, and needs no list.
    first: Option<WeakReadAhead>,
    others: Vec<WeakReadAhead>,
}

impl OpenBodies {
    /// Wasmtime begins to convert a body, and shows of which kind it is by the hook that it calls.
    pub(super) fn converts(&mut self, guest_writes: bool) {
        self.guest_writes = Some(guest_writes);
    }

    /// The body of an answer that was converted just now.
    pub(super) fn answer(&mut self, body: WasiBody) -> ReadAhead {
        let guest_writes = self.guest_writes.take();
        let body = ReadAhead::new(body);
        if guest_writes == Some(true) {
            self.add(&body);
        }
        body
    }

    /// A request whose body was converted just now.
    pub(super) fn request(&mut self, mut request: Request<WasiBody>) -> Request<WasiBody> {
        match self.guest_writes.take() {
            Some(true) => request.map(|body| {
                let body = ReadAhead::new(body);
                self.add(&body);
                body.boxed_unsync()
            }),
            Some(false) => {
                StreamedContent::mark(&mut request);
                request
            }
            None => request,
        }
    }

    fn add(&mut self, body: &ReadAhead) {
        if self.first.as_ref().is_none_or(WeakReadAhead::is_dropped) {
            self.first = Some(body.downgrade());
            return;
        }
        self.others.retain(|body| !body.is_dropped());
        self.others.push(body.downgrade());
    }

    /// The guest writes no more.
    pub(super) fn settle(&mut self) {
        let bodies = self.first.take().into_iter().chain(self.others.drain(..));
        for body in bodies.filter_map(|body| body.upgrade()) {
            body.settle();
        }
    }
}
