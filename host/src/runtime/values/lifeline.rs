//! What the reader of a stream holds of the instance that writes it.

use crate::runtime::fault::InstanceFault;
use std::convert::Infallible;
use tokio::sync::mpsc;
use wasmtime::format_err;

/// The reader's hold on the writer's instance. It keeps that instance alive, and it knows how the instance ended.
pub(crate) struct Lifeline {
    fault: InstanceFault,
    /// Tells the writer's instance, by being dropped, that this reader is gone.
    _reader_token: Option<mpsc::Sender<Infallible>>,
}

/// The data of a store whose streams others may read.
pub(crate) trait HasLifeline: Send + 'static {
    /// A hold for one more reader of this instance's streams.
    fn lifeline(&self) -> Lifeline;

    /// How this instance fails, once it has failed.
    fn fault(&self) -> InstanceFault;
}

impl Lifeline {
    /// `reader_token`: the writer's instance lives until all of these are dropped. It is `None` if the instance does
    /// not wait for readers.
    pub(crate) fn new(fault: InstanceFault, reader_token: Option<mpsc::Sender<Infallible>>) -> Self {
        Self { fault, _reader_token: reader_token }
    }

    /// The error for the reader if the writer's instance failed.
    ///
    /// Call this method instead of reading the field: an `async` block that names one field captures that field alone,
    /// and would drop the token with the rest.
    pub(super) fn broken(&self) -> Option<wasmtime::Error> {
        let fault = self.fault.get()?;
        Some(format_err!("the stream broke off, because its writer failed: {}", fault.kind))
    }
}
