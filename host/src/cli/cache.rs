//! The verbs of the gateway's cache.

use super::client::Client;
use super::output::Output;
use crate::admin::{CacheDiskView, CacheView, PurgeRequest};
use clap::{Args, Subcommand};

/// What can be asked of the cache.
#[derive(Debug, Subcommand)]
pub(super) enum CacheVerb {
    /// Show how full the cache is
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Take answers out: they are fetched again when somebody asks for them
    ///
    /// What is being fetched at that moment is not kept either.
    #[command(verbatim_doc_comment, after_long_help = PURGE_EXAMPLES)]
    Purge(PurgeArgs),
}

const PURGE_EXAMPLES: &str = "\
Examples:
  atoll cache purge --tag users             Every answer with `Cache-Tag: users`
  atoll cache purge --prefix /api/products  That path, and all below it
  atoll cache purge --path /api/users/7     That path alone, with every query
  atoll cache purge --all";

/// Which answers go.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct PurgeArgs {
    /// Those that a service has marked with this word, in `Cache-Tag` or `Surrogate-Key`
    #[arg(long)]
    tag: Option<String>,
    /// Those of this path and of the paths below it
    #[arg(long)]
    prefix: Option<String>,
    /// Those of this path, of every host and with every query
    #[arg(long)]
    path: Option<String>,
    /// All
    #[arg(long)]
    all: bool,
}

/// Asks the cache, and returns what it says.
pub(super) async fn cache(client: &Client, verb: CacheVerb) -> anyhow::Result<String> {
    match verb {
        CacheVerb::Show { output } => client.show("/v1/cache", output, fill).await,
        CacheVerb::Purge(PurgeArgs { tag, prefix, path, all }) => {
            let purged =
                if all { client.purge_all().await? } else { client.purge(&PurgeRequest { path, prefix, tag }).await? };
            Ok(match purged {
                1 => "1 answer has been taken out".into(),
                count => format!("{count} answers have been taken out"),
            })
        }
    }
}

/// How full the cache is, in a sentence.
fn fill(CacheView { answers, bytes, max_bytes, disk, evicted }: &CacheView) -> String {
    let (used, most) = (mebibytes(*bytes), mebibytes(*max_bytes));
    let disk = disk.map_or_else(String::new, |CacheDiskView { answers, bytes, max_bytes }| {
        format!(
            "; the content of {answers} of them in {} of {} MiB of the disk",
            mebibytes(bytes),
            mebibytes(max_bytes)
        )
    });
    format!("{answers} answers in {used} of {most} MiB{disk}; {evicted} have left for others")
}

/// Mebibytes with one decimal.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}
