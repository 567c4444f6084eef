//! `atoll audit`: what is in an audit file, and whether anybody changed it.

use super::output::Output;
use crate::audit::{AuditLine, VerifiedChain, verify};
use crate::base::counted;
use anyhow::{Context, bail};
use clap::Subcommand;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The verbs for audit files. They need no running host.
#[derive(Debug, Subcommand)]
pub(super) enum AuditVerb {
    /// List the entries, after a check of the whole file
    List {
        /// The file that `file` of `[audit]` names
        file: PathBuf,
        /// Only the last entries
        #[arg(long, value_name = "NUMBER")]
        last: Option<usize>,
        #[command(flatten)]
        output: Output,
    },

    /// Check that no entry was changed, removed or put in
    ///
    /// Each entry has the digest of the one before. The end of a file can be cut off
    /// without a trace in the file itself: keep the digest that this prints elsewhere,
    /// and name it with --contains later.
    #[command(verbatim_doc_comment)]
    Verify {
        /// The file that `file` of `[audit]` names
        file: PathBuf,
        /// A digest that an earlier `verify` printed: the entry must still be there
        #[arg(long, value_name = "DIGEST", verbatim_doc_comment)]
        contains: Option<String>,
    },
}

/// Executes a verb, and returns its output.
///
/// # Errors
/// The file cannot be read, or its chain is broken: then with the line.
pub(super) fn execute(verb: &AuditVerb) -> anyhow::Result<String> {
    match verb {
        AuditVerb::List { file, last, output } => {
            let VerifiedChain { entries, .. } = read(file)?;
            let skipped = last.map_or(0, |last| entries.len().saturating_sub(last));
            output.document(&entries[skipped..], |entries| entries.iter().map(described).collect())
        }
        AuditVerb::Verify { file, contains } => {
            let found = read(file)?;
            if let Some(digest) = contains
                && !found.digests.contains(&digest.to_ascii_lowercase())
            {
                bail!("{}: no entry has the digest {digest}: the end of the file was cut off", file.display());
            }
            Ok(summary(file, &found))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<VerifiedChain> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    verify(BufReader::new(file)).with_context(|| format!("{} is no whole chain", path.display()))
}

fn summary(path: &Path, found: &VerifiedChain) -> String {
    let count = counted(found.entries.len(), "entry", "entries");
    let mut text = format!("{} is whole: {count}\n", path.display());
    for line in &found.torn {
        text.push_str(&format!("line {line} is torn: a host ended while it wrote that line\n"));
    }
    if found.ends_torn {
        text.push_str("the next line will say so\n");
    }
    let left_out: u64 = found.entries.iter().map(|entry| entry.left_out).sum();
    if left_out > 0 {
        text.push_str(&format!("{} without an entry\n", refusals(left_out)));
    }
    text + &format!("digest {}\n", found.head)
}

/// One line of the list.
fn described(entry: &AuditLine) -> String {
    let AuditLine { seq, time, who, what, .. } = entry;
    let mut text = format!("{seq} {time} {who} {what}");
    let short = |digest: &String| digest.get(..12).unwrap_or(digest).to_owned();
    if let Some(on) = &entry.on {
        text.push_str(&format!(" `{on}`"));
    }
    if entry.before.is_some() || entry.after.is_some() {
        let [before, after] = [&entry.before, &entry.after].map(|one| one.as_ref().map_or_else(|| "-".into(), short));
        text.push_str(&format!(" {before} -> {after}"));
    }
    if let Some(outcome) = &entry.outcome {
        text.push_str(&format!(" ({outcome})"));
    }
    if let Some(why) = &entry.why {
        text.push_str(&format!(": {why}"));
    }
    if let Some(id) = &entry.request_id {
        text.push_str(&format!(" request {id}"));
    }
    if entry.left_out > 0 {
        text.push_str(&format!(" [{} before it left out]", refusals(entry.left_out)));
    }
    text + "\n"
}

/// `1 refusal`, `2 refusals`.
fn refusals(count: u64) -> String {
    format!("{count} refusal{}", if count == 1 { "" } else { "s" })
}
