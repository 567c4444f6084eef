//! The verbs of the data of services.

use super::client::Client;
use super::layout::Side::{Left, Right};
use super::layout::{Side, counted, lay_out};
use super::output::Output;
use super::terminal;
use crate::admin::{ImportedView, SnapshotView};
use crate::base::ServiceName;
use anyhow::Context;
use clap::Subcommand;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What there is to do with the data of services.
#[derive(Debug, Subcommand)]
pub(super) enum StateVerb {
    /// Delete all data of a service, and the key that they are encrypted with
    ///
    /// The service goes on, with nothing. Nobody can take this back. Free parts of the
    /// file hold what was there until they are written again: where values are
    /// encrypted, replace the database's key afterwards (`atoll state rekey`), and
    /// nobody can read them.
    #[command(verbatim_doc_comment)]
    Erase {
        /// The service, also one that the manifest does not have any more
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        /// That this is meant
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Replace the key of the database by the one that the manifest names now
    ///
    /// First name the new key in `encryption` of [state], by a file, and the one before
    /// it as `previous`: so the host starts with this manifest whenever it is killed.
    /// Values are not written again, only the keys of services.
    #[command(verbatim_doc_comment)]
    Rekey,
    /// Write all data of a service, as of one moment, into a file: plain, not encrypted
    ///
    /// The service goes on meanwhile. The file has one JSON object a line, and can be
    /// imported into this service, into another one, and into another host. Whoever has
    /// it can read all values, also if the database is encrypted.
    #[command(verbatim_doc_comment)]
    Export {
        /// The service, also one that the manifest does not have any more
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        /// The file, which must not exist [default: `-`, standard output]
        file: Option<PathBuf>,
    },
    /// Put the data of a file into a service
    ///
    /// The host looks at the whole file first. It changes nothing if the file is wrong,
    /// or if a key is there with another value. It then writes batch by batch, while the
    /// service goes on: an import that broke off can be made again.
    #[command(verbatim_doc_comment)]
    Import {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        /// A file of `atoll state export`; `-` for standard input
        #[arg(required_unless_present = "snapshot")]
        file: Option<PathBuf>,
        /// A snapshot on the host instead of a file
        #[arg(long, value_name = "NAME", conflicts_with = "file")]
        snapshot: Option<String>,
        /// Give keys that are there with another value the one of the file
        #[arg(long)]
        replace: bool,
    },
    /// Write all data of a service, as of one moment, into a file of the host
    ///
    /// Its values are encrypted there as they are in the database, and can be imported
    /// by the same host alone (`atoll state import SERVICE --snapshot NAME`). When the
    /// data of the service are erased, nobody can read an encrypted snapshot any more.
    #[command(verbatim_doc_comment)]
    Snapshot {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
    },
    /// List the snapshots of a service
    Snapshots {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        #[command(flatten)]
        output: Output,
    },
}

/// Executes a verb of the database.
pub(super) async fn state(client: &Client, verb: StateVerb) -> anyhow::Result<String> {
    Ok(match verb {
        StateVerb::Erase { service, .. } => match client.erase(&service).await? {
            true => format!("{service}: its data are deleted"),
            false => format!("{service}: it had no data"),
        },
        StateVerb::Rekey => match client.replace_state_key().await? {
            true => "the key of the database is replaced: `previous` can be taken out of the manifest".into(),
            false => "the manifest names the key in use: name another one, by a file, and the one in use as `previous`"
                .into(),
        },
        StateVerb::Export { service, file } => export(client, &service, file.as_deref()).await?,
        StateVerb::Import { service, file, snapshot, replace } => {
            let ImportedView { written, same } = match (file, snapshot) {
                (_, Some(name)) => client.import_snapshot(&service, &name, replace).await?,
                (Some(file), None) => client.import(&service, &file, replace).await?,
                (None, None) => anyhow::bail!("name a file or a snapshot"),
            };
            let keys = |count: u64| counted(usize::try_from(count).unwrap_or(usize::MAX), "key");
            let [written, same] = [written, same].map(keys);
            format!("{service}: {written} imported, {same} there already")
        }
        StateVerb::Snapshot { service } => {
            let SnapshotView { name, path, bytes } = client.snapshot(&service).await?;
            format!(
                "{service}: snapshot {name} is in {path} on the host, {bytes} bytes; \
                 `atoll state import {service} --snapshot {name}` brings it back"
            )
        }
        StateVerb::Snapshots { service, output } => {
            client.list(&format!("/v1/services/{service}/data/snapshots"), output, snapshots).await?
        }
    })
}

/// Writes the data of a service into a file, or to standard output.
async fn export(client: &Client, service: &ServiceName, file: Option<&Path>) -> anyhow::Result<String> {
    let mut pieces = client.export(service).await?;
    let Some(path) = file.filter(|path| *path != "-") else {
        while let Some(piece) = pieces.next().await? {
            terminal::pour(&piece)?;
        }
        terminal::note(PLAIN);
        return Ok(String::new());
    };
    // For the operator's eyes alone: it has all that the service's callers have stored.
    let mut options = OpenOptions::new();
    let mut out =
        options.write(true).create_new(true).mode(0o600).open(path).with_context(|| path.display().to_string())?;
    let mut bytes = 0;
    let written = async {
        while let Some(piece) = pieces.next().await? {
            bytes += piece.len();
            out.write_all(&piece)?;
        }
        out.sync_all()?;
        anyhow::Ok(())
    };
    if let Err(error) = written.await {
        // A part of an export is none.
        let _ = std::fs::remove_file(path);
        return Err(error.context(path.display().to_string()));
    }
    terminal::note(PLAIN);
    Ok(format!("{service}: its data are in {}, {bytes} bytes", path.display()))
}

/// What is said with each export.
const PLAIN: &str = "note: an export is plain: whoever can read it can read all values";

/// The snapshots, one in each row.
fn snapshots(snapshots: &[SnapshotView]) -> String {
    const COLUMNS: [(&str, Side); 3] = [("NAME", Right), ("BYTES", Right), ("FILE ON THE HOST", Left)];
    if snapshots.is_empty() {
        return "no snapshots\n".into();
    }
    let row = |snapshot: &SnapshotView| {
        let SnapshotView { name, path, bytes } = snapshot.clone();
        [name, bytes.to_string(), path]
    };
    lay_out(COLUMNS, snapshots.iter().map(row))
}
