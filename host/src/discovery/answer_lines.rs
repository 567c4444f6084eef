//! An answer of a registry that goes on, line by line.

use super::source_error::SourceError;
use crate::base::Body;
use bytes::BytesMut;
use http_body_util::BodyExt;
use std::sync::{Mutex, PoisonError};

/// The lines of a body. A call that is dropped loses nothing: what has come stays here.
pub(super) struct AnswerLines {
    /// Only one at a time uses it, without waiting: the lock makes it shareable, which a body is not.
    body: Mutex<Body>,
    read: BytesMut,
    /// How much of `read` holds no end of a line.
    searched: usize,
    longest: usize,
}

impl AnswerLines {
    /// The lines of `body`, each of so many bytes at most.
    pub(super) fn new(body: Body, longest: usize) -> Self {
        Self { body: Mutex::new(body), read: BytesMut::new(), searched: 0, longest }
    }

    /// The next line, without its end; `None` at the end of the body, whose last line ends too.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>, SourceError> {
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.read.len();
            if self.searched > self.longest {
                return Err(SourceError::TooLong(self.longest));
            }
            match self.body.get_mut().unwrap_or_else(PoisonError::into_inner).frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(SourceError::Unreachable(error.to_string())),
                None if self.read.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.read.split()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::BodyError;
    use bytes::Bytes;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    fn body(parts: &[&'static str]) -> Body {
        let frames: Vec<Result<_, BodyError>> =
            parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        for parts in [&["one\ntwo\nlast"][..], &["o", "ne", "\n", "two\nla", "st"], &["one\n", "two\n", "last\n"]] {
            let mut lines = AnswerLines::new(body(parts), 9);
            let mut read = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                read.push(String::from_utf8(line.to_vec()).unwrap().trim_end().to_owned());
            }
            assert_eq!(read, ["one", "two", "last"], "{parts:?}");
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused() {
        let mut lines = AnswerLines::new(body(&["12345", "67890", "1"]), 9);
        assert!(matches!(lines.next().await, Err(SourceError::TooLong(9))));
    }
}
