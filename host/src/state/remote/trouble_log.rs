//! What the log is told of a store that is not well.

use std::time::{Duration, Instant};

/// How long the log is not told again what it was told in the same outage, and something else since: two servers that
/// fail in turn must not fill it.
const AGAIN: Duration = Duration::from_secs(60);
/// The most troubles of one outage that are told as soon as they are there.
const MOST: usize = 16;

/// What was told of one outage.
#[derive(Debug, Default)]
pub(super) struct TroubleLog {
    told: Vec<String>,
    /// The last one, and when.
    last: Option<(String, Instant)>,
}

impl TroubleLog {
    /// Whether the log is to be told of this trouble: each time that it is another one than before.
    pub(super) fn is_news(&mut self, trouble: &str, now: Instant) -> bool {
        let known = self.told.len() >= MOST || self.told.iter().any(|told| told == trouble);
        let is_news = self.last.as_ref().is_none_or(|(last, told_at)| {
            last != trouble && (!known || now.saturating_duration_since(*told_at) >= AGAIN)
        });
        if is_news {
            if !known {
                self.told.push(trouble.to_owned());
            }
            self.last = Some((trouble.to_owned(), now));
        }
        is_news
    }

    /// All is well. Whether the log was told otherwise before.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(self).last.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_of_an_outage_is_told_once_and_again_when_it_is_back_for_long() {
        let (mut log, mut now) = (TroubleLog::default(), Instant::now());
        assert!(!log.end());
        assert!(log.is_news("refused", now) && !log.is_news("refused", now));
        assert!(log.is_news("WRONGPASS", now), "a second cause");
        for _ in 0..100 {
            assert!(!log.is_news("refused", now) && !log.is_news("WRONGPASS", now), "in turn");
        }
        now += AGAIN;
        assert!(!log.is_news("WRONGPASS", now), "that is what was told last");
        assert!(log.is_news("refused", now));
        assert!(log.end() && !log.end());
        assert!(log.is_news("refused", now), "of another outage");
        let told = (0..1000).filter(|number| log.is_news(&format!("cause {number}"), now)).count();
        assert_eq!(told, MOST - 1, "it has a bound");
    }
}
