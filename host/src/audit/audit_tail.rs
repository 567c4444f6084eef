//! The newest lines of the file, for an operator who asks the running host.

use super::audit_line::AuditLine;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the file's end is read: some ten thousand lines. `atoll audit list` reads all of it.
const SPAN: u64 = 4 << 20;

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// Only what this one did.
    pub who: Option<String>,
    /// Only this: a word such as `swap`.
    pub what: Option<String>,
    /// Only what was done to this.
    pub on: Option<String>,
    /// At most so many.
    pub most: usize,
}

impl AuditQuery {
    fn admits(&self, line: &AuditLine) -> bool {
        let same = |wanted: &Option<String>, own: Option<&str>| wanted.is_none() || wanted.as_deref() == own;
        same(&self.who, Some(&line.who)) && same(&self.what, Some(&line.what)) && same(&self.on, line.on.as_deref())
    }
}

/// The lines at the end of the file that fit, the newest first. What is torn is passed over; the chain is not checked.
///
/// # Errors
/// The file cannot be read.
pub(super) fn newest(path: &Path, query: &AuditQuery) -> io::Result<Vec<AuditLine>> {
    let mut file = File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(SPAN);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    file.take(SPAN).read_to_end(&mut tail)?;
    let lines = tail.split(|byte| *byte == b'\n').rev();
    // The first line of a tail is a part of one, which is no JSON.
    let lines = lines.filter_map(|text| serde_json::from_slice::<AuditLine>(text).ok());
    Ok(lines.filter(|line| query.admits(line)).take(query.most).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditFile, AuditRecord};
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::time::SystemTime;

    #[test]
    fn the_newest_lines_come_first_and_only_those_that_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut file = AuditFile::open(&path).unwrap();
        for (who, what, on) in [("ann", "swap", "users"), ("bob", "swap", "orders"), ("ann", "rollback", "users")] {
            file.add(&[(AuditRecord::new(who, what).on(on), SystemTime::UNIX_EPOCH, 0)]).unwrap();
        }
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"seq\":9,\"ti").unwrap();
        let all = AuditQuery { most: 10, ..AuditQuery::default() };
        let numbers =
            |query: &AuditQuery| -> Vec<u64> { newest(&path, query).unwrap().iter().map(|line| line.seq).collect() };
        assert_eq!(numbers(&all), [3, 2, 1]);
        assert_eq!(numbers(&AuditQuery { most: 2, ..all.clone() }), [3, 2]);
        assert_eq!(numbers(&AuditQuery { who: Some("ann".into()), ..all.clone() }), [3, 1]);
        assert_eq!(numbers(&AuditQuery { what: Some("swap".into()), ..all.clone() }), [2, 1]);
        assert_eq!(numbers(&AuditQuery { on: Some("orders".into()), ..all }), [2]);
    }

    #[test]
    fn of_a_large_file_only_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut file = AuditFile::open(&path).unwrap();
        let event = (AuditRecord::new("host", "start").outcome(&"x".repeat(500)), SystemTime::UNIX_EPOCH, 0);
        for _ in 0..27 {
            file.add(&vec![event.clone(); 256]).unwrap();
        }
        let length = path.metadata().unwrap().len();
        assert!(length > SPAN, "{length}");
        let lines = newest(&path, &AuditQuery { most: usize::MAX, ..AuditQuery::default() }).unwrap();
        assert_eq!(lines[0].seq, 27 * 256);
        assert!(lines.len() < 27 * 256 && lines.len() as u64 * length / (27 * 256) <= SPAN, "{}", lines.len());
    }
}
