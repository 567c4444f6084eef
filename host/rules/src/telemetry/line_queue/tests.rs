//! The queue with a reader that stalls, that fails, and that comes back.

use super::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A reader that takes nothing until the test lets it, and then takes bytes as `Outcome` says.
struct Sink {
    outcomes: Receiver<io::Result<usize>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // After the test's last word the reader takes everything.
        let taken = self.outcomes.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Source;

impl LineSource for Source {
    fn due(&mut self, queue: &LineQueue, _: Instant) -> Option<Instant> {
        queue.push(b"due\n");
        None
    }

    fn gap(&self, count: u64) -> String {
        format!("{count} dropped\n")
    }
}

struct Rig {
    queue: Arc<LineQueue>,
    outcomes: SyncSender<io::Result<usize>>,
    written: Arc<Mutex<Vec<u8>>>,
}

fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < TIMEOUT);
        thread::yield_now();
    }
}

fn rig(most: usize) -> Rig {
    let (outcomes, receiver) = sync_channel(16);
    let written = Arc::default();
    let sink = Sink { outcomes: receiver, written: Arc::clone(&written) };
    Rig { queue: LineQueue::start("test", sink, Source, most).unwrap(), outcomes, written }
}

impl Rig {
    /// Adds a line, and waits until the reader has it before it and takes no byte of it.
    fn stall_with(&self, line: &[u8]) {
        assert!(self.queue.push(line));
        until(|| self.queue.lock().taken > 0);
    }

    /// The reader takes everything from now on. Returns all that it got.
    fn release(self) -> String {
        drop(self.outcomes);
        until(|| {
            let state = self.queue.lock();
            state.ended == state.taken && state.waiting.is_empty()
        });
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn a_stalled_reader_holds_up_nobody_and_the_gap_is_said_at_its_place() {
    let rig = rig(12);
    rig.stall_with(b"first\n");
    assert!(rig.queue.push(b"second\n") && rig.queue.push(b"3rd.\n"));
    for line in [&b"too long\n"[..], b"x\n", b"\n"] {
        // The short ones would fit. They are dropped as well, so that the gap is at one place.
        assert!(!rig.queue.push(line));
    }
    assert_eq!(rig.queue.dropped(), 3);
    assert_eq!(rig.release(), "first\nsecond\n3rd.\n3 dropped\n");
}

#[test]
fn a_flush_ends_in_time_and_waits_only_once_for_a_reader_that_has_stalled() {
    let rig = rig(100);
    assert!(rig.queue.flush(TIMEOUT), "nothing waits");
    rig.stall_with(b"one\n");
    assert!(!rig.queue.flush(Duration::from_millis(1)));
    // This would wait for a minute, if it waited.
    let began = Instant::now();
    assert!(!rig.queue.flush(TIMEOUT));
    assert!(began.elapsed() < TIMEOUT);
    rig.outcomes.send(Ok(4)).unwrap();
    assert!(rig.queue.push(b"two\n"));
    assert_eq!(rig.release(), "one\ntwo\n");
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_no_line_is_torn() {
    let rig = rig(100);
    rig.stall_with(b"one\n");
    assert!(rig.queue.push(b"two\n") && rig.queue.push(b"three\n") && rig.queue.push(b"four\n"));
    rig.outcomes.send(Ok(4)).unwrap();
    // Of the next batch the disk takes one line and a part of the second.
    rig.outcomes.send(Ok(6)).unwrap();
    rig.outcomes.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    until(|| rig.queue.lock().ended == 2);
    assert_eq!(rig.queue.dropped(), 2);
    assert!(rig.queue.push(b"five\n"));
    assert_eq!(rig.release(), "one\ntwo\nth\nfive\n2 dropped\n");
}

#[test]
fn a_write_in_parts_and_one_that_would_block_lose_nothing() {
    let rig = rig(100);
    for outcome in [Ok(1), Err(io::ErrorKind::Interrupted.into()), Err(io::ErrorKind::WouldBlock.into()), Ok(2)] {
        rig.outcomes.send(outcome).unwrap();
    }
    assert!(rig.queue.push(b"one\n"));
    assert_eq!((rig.queue.dropped(), rig.release().as_str()), (0, "one\n"));
}

#[test]
fn the_source_is_asked_when_that_is_wished_and_a_new_bound_holds_at_once() {
    let rig = rig(4);
    rig.queue.ask();
    rig.outcomes.send(Ok(4)).unwrap();
    until(|| rig.queue.lock().ended > 0);
    rig.queue.resize(9);
    assert!(rig.queue.push(b"12345678\n"));
    assert_eq!(rig.release(), "due\n12345678\n");
}
