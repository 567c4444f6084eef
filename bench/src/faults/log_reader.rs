//! Who reads the host's log, counts its lines, and stops reading where a fault asks for it.

use std::io::{PipeReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest part of a line that is looked at: what it is stands at its beginning.
const LOOKED_AT: usize = 512;
const GUEST: &[u8] = b"\"target\":\"guest\"";
const ACCESS: &[u8] = b"\"target\":\"access\"";

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct LogReader {
    stalled: AtomicBool,
    lines: AtomicU64,
    bytes: AtomicU64,
    guest: AtomicU64,
    access: AtomicU64,
}

/// Lines of the log between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LogVolume {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// Those that guests have printed.
    pub(super) guest: u64,
    /// Those of the access log.
    pub(super) access: u64,
}

impl LogReader {
    /// Reads `log` on a thread until its end, which the thread returns.
    pub(super) fn start(log: PipeReader) -> (Arc<Self>, JoinHandle<String>) {
        let reader = Arc::new(Self::default());
        let its = Arc::clone(&reader);
        (reader, thread::spawn(move || its.read(log)))
    }

    /// Whether nobody reads.
    pub(super) fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Relaxed);
    }

    pub(super) fn volume(&self) -> LogVolume {
        let [lines, bytes, guest, access] =
            [&self.lines, &self.bytes, &self.guest, &self.access].map(|count| count.load(Relaxed));
        LogVolume { lines, bytes, guest, access }
    }

    /// Reads until the end, except while it is stalled. Returns the last piece.
    fn read(&self, mut log: PipeReader) -> String {
        let mut buffer = vec![0; 64 << 10];
        let (mut last, mut line) = (0, Vec::with_capacity(LOOKED_AT));
        loop {
            while self.stalled.load(Relaxed) {
                #[expect(clippy::disallowed_methods, reason = "a thread of its own, whose work is to do nothing")]
                thread::sleep(Duration::from_millis(10));
            }
            match log.read(&mut buffer) {
                Ok(0) | Err(_) => return String::from_utf8_lossy(&buffer[..last]).into_owned(),
                Ok(count) => {
                    self.count(&buffer[..count], &mut line);
                    last = count;
                }
            }
        }
    }

    /// Counts what was read. `line` has the beginning of a line whose end was not read yet.
    fn count(&self, read: &[u8], line: &mut Vec<u8>) {
        self.bytes.fetch_add(read.len() as u64, Relaxed);
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            let room = LOOKED_AT.saturating_sub(line.len());
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            if !piece.ends_with(b"\n") {
                continue;
            }
            self.lines.fetch_add(1, Relaxed);
            let has = |word: &[u8]| line.windows(word.len()).any(|part| part == word);
            if has(GUEST) {
                self.guest.fetch_add(1, Relaxed);
            } else if has(ACCESS) {
                self.access.fetch_add(1, Relaxed);
            }
            line.clear();
        }
    }
}

impl LogVolume {
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            lines: self.lines - earlier.lines,
            bytes: self.bytes - earlier.bytes,
            guest: self.guest - earlier.guest,
            access: self.access - earlier.access,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Write, pipe};

    #[test]
    fn lines_are_counted_by_who_has_written_them() {
        let (log, mut writer) = pipe().unwrap();
        let (reader, thread) = LogReader::start(log);
        let text = "{\"target\":\"guest\",\"text\":\"a\"}\n{\"target\":\"access\"}\n{\"target\":\"circuit\"}\n";
        for piece in text.as_bytes().chunks(7) {
            writer.write_all(piece).unwrap();
        }
        drop(writer);
        assert!(text.ends_with(&thread.join().unwrap()));
        let all = LogVolume { lines: 3, bytes: text.len() as u64, guest: 1, access: 1 };
        assert_eq!(reader.volume(), all);
        assert_eq!(all.since(LogVolume { lines: 1, bytes: 30, guest: 1, access: 0 }).access, 1);
    }
}
