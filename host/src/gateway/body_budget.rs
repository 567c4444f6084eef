//! The memory for the bodies that the gateway holds for one service.

use super::call::CallFailure;
use crate::base::{Body, ErrorKind};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// The bytes that all bodies together may take which the gateway holds for one service.
///
/// A body that finds the budget used up is refused at once. If it waited, clients that send slowly could block all
/// others.
pub(super) struct BodyBudget(Arc<Semaphore>);

/// A body that is held; its bytes go back to the budget when it is dropped.
pub(super) struct HeldBody {
    parts: Vec<Bytes>,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// A budget of `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Reads the whole of `body`, for a call that needs it before it begins.
    ///
    /// # Errors
    /// The client's failure to send the body by `deadline`; [`ErrorKind::Overloaded`] if the bodies of other requests
    /// use up the budget.
    pub(super) async fn collect(&self, mut body: Body, deadline: Instant) -> Result<HeldBody, CallFailure> {
        let mut held = HeldBody { parts: Vec::new(), permit: None };
        let read = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| failure(error.kind, error.detail))?;
                if let Ok(data) = frame.into_data() {
                    self.take(&mut held, data)?;
                }
            }
            Ok(())
        };
        match timeout_at(deadline.into(), read).await {
            Ok(read) => read.map(|()| held),
            Err(_) => Err(failure(ErrorKind::SlowBody, "the body did not arrive by the call's deadline".into())),
        }
    }

    fn take(&self, held: &mut HeldBody, data: Bytes) -> Result<(), CallFailure> {
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.0).try_acquire_many_owned(bytes);
        let permit = permit
            .map_err(|_| failure(ErrorKind::Overloaded, "the bodies of other requests use up `body_memory`".into()))?;
        match &mut held.permit {
            Some(own) => own.merge(permit),
            none => *none = Some(permit),
        }
        held.parts.push(data);
        Ok(())
    }
}

impl HeldBody {
    /// The bytes in one piece. They are copied only if the body arrived in several pieces; most arrive in one.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        match &*self.parts {
            [] => Cow::Borrowed(&[]),
            [whole] => Cow::Borrowed(whole),
            parts => Cow::Owned(parts.concat()),
        }
    }
}

fn failure(kind: ErrorKind, detail: String) -> CallFailure {
    CallFailure { kind, deadline: None, retry_after: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::full_body;

    #[tokio::test]
    async fn bodies_share_one_budget_and_give_their_bytes_back() {
        let budget = BodyBudget::new(8);
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        let collect = |text: &'static str| budget.collect(full_body(text), deadline);
        let first = collect("12345").await.expect("room");
        assert_eq!(&*first.bytes(), b"12345");
        assert_eq!(collect("1234").await.err().map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        let second = collect("123").await.expect("room");
        assert_eq!(collect("1").await.err().map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        assert_eq!(&*collect("").await.expect("an empty body needs no room").bytes(), b"");
        drop((first, second));
        assert!(collect("12345678").await.is_ok());
    }
}
