//! The data of a service as they come from the admin.

use super::failure::CliError;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer in pieces may pause between two of them: a host reads a page of entries meanwhile.
const STALL: Duration = Duration::from_secs(60);

/// An answer that comes in pieces.
pub(super) struct ExportBody {
    pub(super) body: Incoming,
    /// Whose answer it is.
    pub(super) admin: String,
}

impl ExportBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It broke off, or no piece came for a minute.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, CliError> {
        let broken_off = |reason| CliError::BrokenOff { admin: self.admin.clone(), reason };
        next_piece(&mut self.body).await.map_err(broken_off)
    }
}

/// The next piece of a body, which may not let wait for longer than [`STALL`].
async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>, String>
where
    B: Body<Data = Bytes, Error: fmt::Display> + Unpin,
{
    loop {
        let frame = timeout(STALL, body.frame()).await;
        let frame = frame.map_err(|_| format!("no piece of the data came for {} seconds", STALL.as_secs()))?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| format!("they broke off ({error})"))?;
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use futures_util::stream::{iter, pending};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use std::io;

    #[tokio::test(start_paused = true)]
    async fn an_export_that_stalls_is_given_up() {
        let first = iter([Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"one")))]);
        let mut body = StreamBody::new(first.chain(pending())).boxed_unsync();
        assert_eq!(next_piece(&mut body).await, Ok(Some(Bytes::from_static(b"one"))));
        let stalled = timeout(STALL * 2, next_piece(&mut body)).await.expect("it has a bound");
        assert_eq!(stalled, Err("no piece of the data came for 60 seconds".to_owned()));
    }
}
