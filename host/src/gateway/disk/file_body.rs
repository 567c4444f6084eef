//! A part of a file as the content of an answer.

use super::disk_permits::DiskPermits;
use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How much of a file is in memory for one client.
pub(in crate::gateway) const PIECE: u64 = 64 << 10;

/// The bytes `part` of `file`, piece by piece. Each is read when the client has taken the one before. `held` is dropped
/// with the body.
pub(in crate::gateway) fn file_body<T: Send + 'static>(
    disk: DiskPermits,
    file: Arc<File>,
    part: Range<u64>,
    held: T,
) -> Body {
    let begin = (!part.is_empty()).then_some((disk, file, part, held));
    let pieces = futures_util::stream::unfold(begin, async |left| {
        let (disk, file, part, held) = left?;
        let piece = part.start..part.end.min(part.start + PIECE);
        match read(&disk, &file, piece.clone()).await {
            Ok(data) => {
                let rest = piece.end..part.end;
                let left = (!rest.is_empty()).then_some((disk, file, rest, held));
                Some((Ok(Frame::data(data)), left))
            }
            Err(error) => Some((Err(unreadable(&error)), None)),
        }
    });
    StreamBody::new(Box::pin(pieces)).boxed_unsync()
}

/// Reads these bytes. A file that has become shorter is an error: the length of its content has been sent.
pub(in crate::gateway) async fn read(disk: &DiskPermits, file: &Arc<File>, piece: Range<u64>) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let read = disk.run(move || {
        let mut data = vec![0; usize::try_from(piece.end - piece.start).expect("a piece fits in memory")];
        file.read_exact_at(&mut data, piece.start)?;
        Ok(Bytes::from(data))
    });
    read.await
}

fn unreadable(error: &io::Error) -> BodyError {
    BodyError::new(ErrorKind::Host, format!("a file cannot be read: {error}"))
}
