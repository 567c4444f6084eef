//! The chain that the lines form: each has the digest of the one before.

use super::audit_line::{AuditLine, REPAIRED};
use super::audit_record::AuditRecord;
use crate::base::Digest;
use std::io::{self, BufRead, Read};

/// The most bytes of a line that is read. A written line has less than a tenth of that.
const LONGEST: u64 = 64 << 10;

/// The end of a chain: what its next line begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// The number of the next line.
    next: u64,
    /// The digest of the last line.
    previous: String,
}

impl Chain {
    /// The chain of an empty file.
    pub(super) fn new() -> Self {
        Self { next: 1, previous: "0".repeat(64) }
    }

    /// The chain that ends with `line`.
    pub(super) fn after(line: &AuditLine, text: &[u8]) -> Self {
        Self { next: line.seq + 1, previous: Digest::of(text).to_string() }
    }

    /// The same chain with a torn line at its end. The torn line names no line before it, so the digest is one of both:
    /// otherwise the line before could be changed.
    pub(super) fn torn(self, text: &[u8]) -> Self {
        let both = [self.previous.as_bytes(), b"\n", text].concat();
        Self { previous: Digest::of(&both).to_string(), ..self }
    }

    /// Adds a line for `event`, and returns it with its newline.
    pub(super) fn add(&mut self, event: &AuditRecord, time: String, left_out: u64) -> String {
        let line = AuditLine::of(event, self.next, time, self.previous.clone(), left_out);
        let mut text = serde_json::to_string(&line).expect("texts and numbers are always JSON");
        *self = Self::after(&line, text.as_bytes());
        text.push('\n');
        text
    }

    /// Whether `line` is the next one.
    fn admits(&self, line: &AuditLine) -> Result<(), &'static str> {
        if line.previous != self.previous {
            return Err("it does not follow from the line before: one of the two was changed, or lines are missing");
        }
        if line.seq != self.next {
            return Err("its number is not the next one: lines are missing");
        }
        Ok(())
    }
}

/// Whether this is what a crash leaves of a line: its beginning, or zeros where a file system had room for it already.
pub(super) fn is_torn(text: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"seq\":";
    text.starts_with(BEGINNING) || BEGINNING.starts_with(text) || text.iter().all(|byte| *byte == 0)
}

/// What was found in a file whose chain is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChain {
    /// The entries, in order.
    pub entries: Vec<AuditLine>,
    /// The numbers of the lines that a crash has torn, in the file.
    pub torn: Vec<u64>,
    /// The digest of the last line: kept elsewhere, it shows later whether the end of the file was cut off.
    pub head: String,
    /// The digests of all lines, for such a comparison.
    pub digests: Vec<String>,
    /// Whether the last line is torn, and no line after it says so yet: the host ended while it wrote, or writes now.
    pub ends_torn: bool,
}

/// Why a file is not one whole chain.
#[derive(Debug, thiserror::Error)]
pub enum BrokenChain {
    /// The first line that does not fit.
    #[error("line {line}: {reason}")]
    At {
        /// Its number in the file, from 1.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Reads a whole file, and checks that each line follows from the one before.
///
/// # Errors
/// The first line that does not.
pub fn verify(mut file: impl BufRead) -> Result<VerifiedChain, BrokenChain> {
    let mut chain = Chain::new();
    let mut found = VerifiedChain {
        entries: Vec::new(),
        torn: Vec::new(),
        head: chain.previous.clone(),
        digests: Vec::new(),
        ends_torn: false,
    };
    let mut number = 0;
    loop {
        let mut text = Vec::new();
        file.by_ref().take(LONGEST).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            found.head = chain.previous;
            return Ok(found);
        }
        number += 1;
        let broken = |reason| BrokenChain::At { line: number, reason };
        if text.len() as u64 == LONGEST {
            return Err(broken("it is longer than any entry"));
        }
        text.pop_if(|last| *last == b'\n');
        let entry: Option<AuditLine> = serde_json::from_slice(&text).ok();
        match entry {
            Some(line) => {
                chain.admits(&line).map_err(broken)?;
                if found.ends_torn && line.what != REPAIRED {
                    return Err(broken("the line before is no entry, and this one does not say that a crash tore it"));
                }
                found.ends_torn = false;
                chain = Chain::after(&line, &text);
                found.entries.push(line);
            }
            // Several in a row: a crash can tear the line, too, that was to close the one before.
            None if is_torn(&text) => {
                (found.ends_torn, chain) = (true, chain.torn(&text));
                found.torn.push(number);
            }
            None => return Err(broken("it is no entry")),
        }
        found.digests.push(chain.previous.clone());
    }
}
