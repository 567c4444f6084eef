//! What has become of a commit whose answer was lost.

use crate::state::error::{StateError, StorageCause};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long the server is asked, with the last question: the only writer stands still meanwhile.
const LONGEST: Duration = Duration::from_secs(5);
/// The time between two questions.
const AGAIN: Duration = Duration::from_millis(50);

/// One question that is asked until it has an answer, or the time is over.
pub(in crate::state) struct Settling {
    place: String,
    until: Instant,
}

impl Settling {
    /// Begins now; `place` is the server's name in messages.
    pub(in crate::state) fn begin(place: &str) -> Self {
        Self { place: place.to_owned(), until: Instant::now() + LONGEST }
    }

    /// The answer; `None`: the question is to be asked again.
    ///
    /// # Errors
    /// [`StateError::Io`]: nobody knows, and the time is over.
    pub(in crate::state) async fn ask<A>(
        &self,
        question: impl Future<Output = Result<A, StateError>>,
    ) -> Result<Option<A>, StateError> {
        let silent = || StateError::Unavailable {
            place: self.place.clone(),
            problem: "no answer in time".into(),
            cause: "away",
        };
        let error = match timeout_at(self.until, question).await.unwrap_or_else(|_| Err(silent())) {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        // Whose data are another host's is told nothing any more.
        if matches!(error, StateError::Superseded { .. }) || Instant::now() >= self.until {
            let problem = "the connection was lost while the commit was under way, and the server could not be asked \
                           since: it is written whole or not at all";
            let source = Some(StorageCause::new(error));
            return Err(StateError::Io { path: self.place.clone().into(), problem, source });
        }
        sleep(AGAIN).await;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn away() -> Result<(), StateError> {
        Err(StateError::Unavailable { place: "db".into(), problem: "refused".into(), cause: "away" })
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_asked_until_one_deadline_also_if_a_question_hangs() {
        let settling = Settling::begin("db");
        assert_eq!(settling.ask(ready(away())).await, Ok(None));
        assert_eq!(settling.ask(ready(Ok(7))).await, Ok(Some(7)));
        for hangs in [false, true] {
            let (began, settling) = (Instant::now(), Settling::begin("db"));
            let in_doubt = loop {
                let asked = if hangs { settling.ask(pending()).await } else { settling.ask(ready(away())).await };
                if asked != Ok(None) {
                    break asked;
                }
            };
            assert!(matches!(in_doubt, Err(StateError::Io { .. })), "{in_doubt:?}");
            assert!(began.elapsed() <= LONGEST + AGAIN, "{:?}", began.elapsed());
        }
    }
}
