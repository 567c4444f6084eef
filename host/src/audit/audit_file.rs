//! The file: its end is read, and lines are added.

use super::audit_line::{AuditLine, REPAIRED};
use super::audit_record::AuditRecord;
use super::chain::{Chain, is_torn};
use crate::base::utc;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

/// How much of the file's end is read to find its last entry: more than its two longest lines.
const TAIL: u64 = 64 << 10;

/// The file, open for adding. Several processes may add to it, such as the host and a verb of the command line: each
/// takes a lock on the file, and reads its end anew if another one has added to it.
#[derive(Debug)]
pub struct AuditFile {
    file: File,
    chain: Chain,
    /// The length up to which `chain` is known.
    end: u64,
}

/// What the end of a file is.
struct ChainEnd {
    chain: Chain,
    /// What has to be written before the next line.
    mend: Option<ChainMend>,
}

enum ChainMend {
    /// The newline of the last line is missing.
    Newline,
    /// The last line is torn; `newline`: it has no newline either.
    Torn { newline: bool },
}

impl AuditFile {
    /// Opens the file, and creates it with the mode 0600 if it is not there.
    ///
    /// # Errors
    /// It cannot be opened, read or written, or its end is no audit file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        // Length 0 is below that of every other end, so that the first `add` reads what is there.
        let mut opened = Self { file, chain: Chain::new(), end: 0 };
        opened.add(&[])?;
        Ok(opened)
    }

    /// Adds one line for each event, each with the number of refusals that got none, and waits until they are on the
    /// disk.
    ///
    /// # Errors
    /// They could not be written. The file is then as it was, as far as that can be done.
    pub fn add(&mut self, events: &[(AuditRecord, SystemTime, u64)]) -> io::Result<()> {
        self.file.lock()?;
        let added = self.add_locked(events);
        let unlocked = self.file.unlock();
        added.and(unlocked)
    }

    fn add_locked(&mut self, events: &[(AuditRecord, SystemTime, u64)]) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut text = String::new();
        let mut chain = self.chain.clone();
        if length != self.end {
            let ChainEnd { chain: found, mend } = self.read_end(length)?;
            chain = found;
            if matches!(mend, Some(ChainMend::Newline | ChainMend::Torn { newline: false })) {
                text.push('\n');
            }
            if matches!(mend, Some(ChainMend::Torn { .. })) {
                let note = AuditRecord::new("host", REPAIRED)
                    .outcome("the line before is torn: a host ended while it wrote that line");
                text.push_str(&chain.add(&note, utc(SystemTime::now()), 0));
            }
        }
        for (event, time, left_out) in events {
            text.push_str(&chain.add(event, utc(*time), *left_out));
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half of a line would be a torn one. If this fails too, the next one who adds closes it.
            let _ = self.file.set_len(length);
            return Err(error);
        }
        (self.chain, self.end) = (chain, length + text.len() as u64);
        Ok(())
    }

    /// Reads the end of the file, which has this length.
    fn read_end(&mut self, length: u64) -> io::Result<ChainEnd> {
        let begin = length.saturating_sub(TAIL);
        self.file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        Read::by_ref(&mut self.file).take(TAIL).read_to_end(&mut tail)?;
        if begin > 0 {
            // The first line of the tail is a part of one.
            let first = tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |at| at + 1);
            tail.drain(..first);
        }
        let newline = tail.pop_if(|last| *last == b'\n').is_some();
        let lines: Vec<&[u8]> = tail.split(|byte| *byte == b'\n').collect();
        let parse = |text: &[u8]| serde_json::from_slice::<AuditLine>(text).ok();
        let last_entry = lines.iter().enumerate().rev().find_map(|(at, text)| Some((at, parse(text)?)));
        let (chain, torn) = match last_entry {
            Some((at, line)) => (Chain::after(&line, lines[at]), &lines[at + 1..]),
            // The first line of all is torn.
            None if begin == 0 => (Chain::new(), &lines[..]),
            None => return Err(no_audit_file()),
        };
        if !torn.iter().all(|text| is_torn(text)) {
            return Err(no_audit_file());
        }
        let mend = match torn {
            [] => (!newline).then_some(ChainMend::Newline),
            _ => Some(ChainMend::Torn { newline }),
        };
        Ok(ChainEnd { chain: torn.iter().fold(chain, |chain, text| chain.torn(text)), mend })
    }
}

fn no_audit_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its end is no audit file: name another file, or move this one away")
}
