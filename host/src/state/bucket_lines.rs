//! The data of one service as a file: JSON, one object a line.
//!
//! The first line has the form's version and says what the file is of. Each further line has one entry, in ascending
//! order of the keys, and the last one says how many there were, so that a file that broke off is known as such. Keys
//! and values are strings where they are UTF-8, and `{"base64": …}` where they are not.

use super::transaction::{Entry, Key, Versioned, check_key, limit};
use crate::recording::Blob;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};

/// The version of the form that this host writes, and the only one that it reads.
const FORM: u32 = 1;
/// The longest line, in bytes: JSON writes some bytes with six characters (RFC 8259, section 7).
const LONGEST_LINE: u64 = 6 * (limit::VALUE + limit::KEY) as u64 + 1024;
/// A batch ends before it has more entries, and with the entry that makes it larger than so many bytes.
const BATCH: usize = 250;
const BATCH_BYTES: usize = 1 << 20;

/// What a file of a service's data is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketHeader {
    /// The version of the form.
    atoll_state: u32,
    /// The service whose data they were.
    pub service: String,
    /// The version of the latest commit of the database when they were read.
    pub version: u64,
    /// Whether the values are as they are on disk, encrypted: then only their own database can read them.
    pub sealed: bool,
    /// The number of the format that a migration has given them; `None`: none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<u32>,
}

/// One entry. Versions are told and never imported: they are numbers of one database.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    key: Blob,
    value: Blob,
    version: u64,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    /// How many entries there were.
    end: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AnyLine {
    Entry(EntryLine),
    End(EndLine),
}

/// Why a file is none that can be imported.
#[derive(Debug, thiserror::Error)]
pub enum BucketFileError {
    /// A line is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The file has no last line.
    #[error("it broke off after {0} entries: its last line, which says how many there are, is missing")]
    BrokenOff(u64),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
}

impl BucketHeader {
    /// The header of what is read now.
    pub fn new(service: &str, version: u64, sealed: bool, format: Option<u32>) -> Self {
        Self { atoll_state: FORM, service: service.to_owned(), version, sealed, format }
    }

    /// Its line.
    pub(super) fn line(&self) -> Vec<u8> {
        line(self)
    }
}

/// Adds the line of an entry to `text`.
pub(super) fn add_entry(text: &mut Vec<u8>, Entry { key, value: Versioned { value, version } }: Entry) {
    text.extend(line(&EntryLine { key: key.into(), value: value.into(), version }));
}

/// The last line.
pub(super) fn end_line(entries: u64) -> Vec<u8> {
    line(&EndLine { end: entries })
}

fn line(content: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(content).expect("texts and numbers are JSON");
    line.push(b'\n');
    line
}

/// Reads such a file, batch by batch. It holds one batch in memory.
pub struct BucketReader<R> {
    input: R,
    header: BucketHeader,
    /// The lines and the entries that were read.
    lines: u64,
    entries: u64,
    last: Option<Key>,
    ended: bool,
}

impl<R: BufRead> BucketReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is no such file, or one of another form.
    pub fn new(mut input: R) -> Result<Self, BucketFileError> {
        let wrong = |problem: String| BucketFileError::Line { line: 1, problem };
        let text = read_line(&mut input, 1)?.ok_or_else(|| wrong("the file is empty".into()))?;
        let form = serde_json::from_slice::<serde_json::Value>(&text).ok();
        match form.as_ref().and_then(|header| header.get("atoll_state")?.as_u64()) {
            Some(form) if form == u64::from(FORM) => {}
            Some(form) => {
                let problem =
                    format!("it has form {form}, and this host reads form {FORM}: use the version that wrote it");
                return Err(wrong(problem));
            }
            None => return Err(wrong("it is no export of a service's data: `atoll_state` is missing".into())),
        }
        let header = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { input, header, lines: 1, entries: 0, last: None, ended: false })
    }

    /// What the file is of.
    pub fn header(&self) -> &BucketHeader {
        &self.header
    }

    /// The next entries; none: the file has come to its end, whole.
    ///
    /// # Errors
    /// A line is wrong, or the last one is missing.
    pub fn batch(&mut self) -> Result<Vec<Entry>, BucketFileError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while !self.ended && batch.len() < BATCH && bytes < BATCH_BYTES {
            let text = read_line(&mut self.input, self.lines + 1)?.ok_or(BucketFileError::BrokenOff(self.entries))?;
            self.lines += 1;
            match serde_json::from_slice(&text).map_err(|_| self.wrong("it is neither an entry nor the end"))? {
                AnyLine::Entry(entry) => {
                    let entry = self.checked(entry)?;
                    bytes += entry.key.len() + entry.value.value.len();
                    batch.push(entry);
                }
                AnyLine::End(EndLine { end }) => self.end(end)?,
            }
        }
        Ok(batch)
    }

    fn checked(&mut self, EntryLine { key, value, version }: EntryLine) -> Result<Entry, BucketFileError> {
        let (key, value) = (key.bytes().to_vec(), value.bytes().to_vec());
        check_key(&key).map_err(|error| self.wrong(error.to_string()))?;
        // A value that is encrypted is longer by its nonce and its tag.
        let longest = if self.header.sealed { limit::VALUE + 64 } else { limit::VALUE };
        if value.len() > longest {
            return Err(self.wrong(format!("a value has at most {} bytes", limit::VALUE)));
        }
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(self.wrong("its key does not come after that of the line before"));
        }
        self.last = Some(key.clone());
        self.entries += 1;
        Ok(Entry { key, value: Versioned { value, version } })
    }

    fn end(&mut self, entries: u64) -> Result<(), BucketFileError> {
        if entries != self.entries {
            let read = self.entries;
            return Err(self.wrong(format!("there were {entries} entries, and the file has {read}")));
        }
        if read_line(&mut self.input, self.lines + 1)?.is_some() {
            return Err(self.wrong("more follows after the end"));
        }
        self.ended = true;
        Ok(())
    }

    fn wrong(&self, problem: impl Into<String>) -> BucketFileError {
        BucketFileError::Line { line: self.lines, problem: problem.into() }
    }
}

/// The next line without its end; `None` at the end of the file.
fn read_line(input: &mut impl BufRead, number: u64) -> Result<Option<Vec<u8>>, BucketFileError> {
    let mut text = Vec::new();
    input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text)?;
    match text.pop() {
        Some(b'\n') => Ok(Some(text)),
        None => Ok(None),
        Some(_) if text.len() as u64 + 1 == LONGEST_LINE => {
            Err(BucketFileError::Line { line: number, problem: "it is longer than any entry".into() })
        }
        // An editor may have taken the last line's end.
        Some(last) => {
            text.push(last);
            Ok(Some(text))
        }
    }
}
