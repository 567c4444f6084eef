//! The verb `replay`: a recorded call, replayed in this process.

use super::client::Client;
use super::layout::Side::{Left, Right};
use super::layout::{Side, age, lay_out};
use super::output::Output;
use crate::admin::RecordingView;
use crate::app::{self, Replays};
use crate::base::{ServiceName, counted};
use crate::recording::{PlaybackReport, Recording};
use anyhow::Context;
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is replayed, and with which component.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A request id, or the number of a recording [default: list the recordings]
    #[arg(conflicts_with_all = ["output", "json"])]
    id: Option<String>,
    /// Of several recordings of the request, that of this service
    #[arg(long, value_name = "SERVICE", value_parser = ServiceName::new, requires = "id")]
    service: Option<ServiceName>,
    /// Read the recording from this file, and ask no host
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "save", "output", "json"])]
    file: Option<PathBuf>,
    /// Write the recording to this file, masked, and do not replay it
    #[arg(long, value_name = "FILE", requires = "id")]
    save: Option<PathBuf>,
    /// Replay it with this component in place of the one that was recorded
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The manifest that names the recorded component
    #[arg(long, value_name = "FILE", default_value = "atoll.toml")]
    manifest: PathBuf,
    /// How often it is replayed: 1 to 10,000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    times: u32,
    #[command(flatten)]
    output: Output,
}

impl ReplayArgs {
    /// Whether it asks a host.
    pub(super) fn needs_host(&self) -> bool {
        self.file.is_none()
    }
}

/// Replays a recording, or lists them. `client`: the host that has it; `None` for a file.
///
/// # Errors
/// There is no such recording; or the replay differs from it.
pub(super) async fn replay(client: Option<&Client>, args: ReplayArgs) -> anyhow::Result<String> {
    let ReplayArgs { id, service, file, save, against, manifest, times, output } = args;
    let (name, bytes) = match (client, &id, &file) {
        (_, _, Some(file)) => {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            (file.display().to_string(), bytes)
        }
        // A file may go anywhere; for a replay the random bytes come along, and end with this process.
        (Some(client), Some(id), None) => (id.clone(), client.recording(id, service.as_ref(), save.is_none()).await?),
        (Some(client), None, None) => return client.list("/v1/recordings", output, table).await,
        (None, _, None) => return Err(anyhow::anyhow!("name a request id, or a file with `--file`")),
    };
    if let Some(path) = save {
        return save_to(&path, &bytes);
    }
    let recording = Recording::from_file(&bytes).with_context(|| name)?;
    let (head, masked) = (head(&recording), recording.masked);
    let replays = app::replay(recording, against.as_deref(), &manifest, times).await?;
    let (text, is_equal) = describe(&head, masked, &replays);
    if is_equal { Ok(text) } else { Err(anyhow::anyhow!(text)) }
}

fn save_to(path: &Path, bytes: &[u8]) -> anyhow::Result<String> {
    // For the operator's eyes: the rules mask what looks like a secret, and bodies have more than that.
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(0o600).open(path);
    let written = created.and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!("{}: `atoll replay --file {}` replays it, on any machine", path.display(), path.display()))
}

fn table(recordings: &[RecordingView]) -> String {
    const COLUMNS: [(&str, Side); 7] = [
        ("NR", Right),
        ("REQUEST", Left),
        ("SERVICE", Left),
        ("REVISION", Left),
        ("AGE", Right),
        ("CALL", Left),
        ("OUTCOME", Left),
    ];
    if recordings.is_empty() {
        return "there is no recording: `record` of a service in the manifest says what is recorded".into();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let row = |one: &RecordingView| {
        let RecordingView { number, request, service, revision, call, outcome, began, .. } = one.clone();
        [number.to_string(), request, service, revision, age(now.saturating_sub(began / 1000)), call, outcome]
    };
    lay_out(COLUMNS, recordings.iter().map(row))
}

/// What was recorded, in one line.
fn head(recording: &Recording) -> String {
    let revision = recording.revision.get(..12).unwrap_or_default();
    let (call, outcome) = (recording.call.in_words(), recording.outcome.in_words());
    format!("{}: {call} of request {} by {revision}: {outcome}", recording.service, recording.request)
}

/// What came of the replays, and whether all of them did what was recorded.
fn describe(head: &str, masked: usize, Replays { revision, reports }: &Replays) -> (String, bool) {
    let same = reports.iter().filter(|report| report.is_equal()).count();
    let times = counted(reports.len(), "time", "times");
    let mut text = format!("{head}\n{} replayed it {times}: {same} the same", revision.short());
    if let Some(different) = reports.iter().find(|report| !report.is_equal()) {
        text.push_str("\nwhat differs first:");
        let PlaybackReport { differences, stopped, .. } = different;
        for line in differences.iter().map(crate::recording::Difference::in_words).chain(stopped.clone()) {
            text.push_str(&format!("\n  {line}"));
        }
        if masked > 0 {
            text.push_str(&format!(
                "\n{} masked: differences may come from that",
                counted(masked, "value of the recording is", "values of the recording are")
            ));
        }
    }
    (text, same == reports.len())
}
