//! The verbs of API keys.

use super::client::Client;
use super::output::Output;
use super::table;
use crate::admin::{KeyRequest, NewKeyView};
use crate::config;
use clap::{Args, Subcommand};
use std::time::Duration;

/// The changes of API keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Create a key, and show it once
    ///
    /// The host keeps its hash alone, so nobody can show it again. It counts at once.
    #[command(verbatim_doc_comment, after_long_help = KEY_EXAMPLES)]
    Create(NewKey),
    /// List the keys: their ids, names, scopes and ends, never the keys themselves
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Revoke a key: it is refused from the next request on
    Revoke {
        /// The key, as `atoll key list` names it
        id: String,
    },
}

const KEY_EXAMPLES: &str = "\
Examples:
  atoll key create partner --scope orders:write --expires 90d
  atoll key create till-7 --policy tills        Where several policies have keys
  atoll key revoke 3f9a0c51b2d4";

/// A new key.
#[derive(Debug, Args)]
pub(super) struct NewKey {
    /// Whose key it is: the subject of its calls
    name: String,
    /// What it may do; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long it is valid: `90d`, `12h` [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// The policy, `NAME` of [auth.NAME] [default: the only one that has keys]
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
}

/// Parses a duration in the manifest's form, or a number of days: of a key, days are what people think in.
fn lifetime(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let found = days.map(|days| Duration::from_secs(u64::from(days) * 86_400)).or_else(|| config::duration(text));
    let found = found.filter(|found| found.as_secs() > 0);
    found.ok_or_else(|| "write a whole number with its unit, of a second at least: 90d, 12h or 30m".into())
}

/// Changes keys, and returns what was created or revoked, or the list.
pub(super) async fn key(client: &Client, key: KeyVerb) -> anyhow::Result<String> {
    match key {
        KeyVerb::Create(NewKey { name, scopes, expires, policy }) => {
            let expires_in_seconds = expires.map(|expires| expires.as_secs());
            let created = client.create_key(&KeyRequest { name, policy, scopes, expires_in_seconds }).await?;
            Ok(shown(&created))
        }
        KeyVerb::List { output } => client.list("/v1/keys", output, table::keys).await,
        KeyVerb::Revoke { id } => {
            let revoked = client.revoke_key(&id).await?;
            Ok(format!("key {} of `{}` is revoked", revoked.id, revoked.name))
        }
    }
}

/// The key stands in a line of its own, so that a script can cut it out.
fn shown(NewKeyView { key, about }: &NewKeyView) -> String {
    let id = &about.id;
    format!("{key}\nIt is shown this once: pass it on now. `atoll key revoke {id}` revokes it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_written_in_days_or_as_in_the_manifest() {
        let seconds = |text: &str| lifetime(text).map(|life| life.as_secs());
        assert_eq!((seconds("90d"), seconds("12h"), seconds("30m")), (Ok(7_776_000), Ok(43_200), Ok(1800)));
        for wrong in ["", "d", "90", "0d", "10ms", "-1d", "1w"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
