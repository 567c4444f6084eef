//! The settings of the room: bounds, and how this host proves itself to registries.

use super::ask_registry::AskRegistry;
use super::registry_address::RegistryKind;
use http::Uri;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The settings of all sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The most endpoints of one source; those beyond are left out. Default 1,024.
    pub endpoints: usize,
    /// The longest answer of a registry, in bytes. Default 8 MiB.
    pub answer: usize,
    /// The logins, by kind of registry.
    pub logins: [RegistryLogin; 4],
    /// The API server of the cluster that this host runs in; `None`: it runs in none.
    pub cluster: Option<Uri>,
}

/// How this host proves itself to registries of one kind, and they to it. Default: not at all, by the roots of the
/// system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryLogin {
    /// The name of a user; its password is `secret`.
    pub user: Option<String>,
    /// A token, or the password of `user`.
    pub secret: Option<RegistrySecret>,
    /// A PEM file of root certificates.
    pub ca: Option<PathBuf>,
}

/// A token or a password, which does not print.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistrySecret {
    /// The text.
    Text(String),
    /// A file that others write anew, as Kubernetes does with its tokens: it is read before each question.
    File(PathBuf),
}

/// What sources need to ask registries. Clones share it.
#[derive(Clone, Default)]
pub struct SourceAccess {
    /// The settings.
    pub settings: Arc<Settings>,
    /// How registries are reached; `None`: not at all.
    pub http: Option<Arc<dyn AskRegistry>>,
}

impl Settings {
    /// The login for registries of a kind.
    pub fn login(&self, kind: RegistryKind) -> &RegistryLogin {
        &self.logins[kind as usize]
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { endpoints: 1024, answer: 8 << 20, logins: Default::default(), cluster: None }
    }
}

impl RegistrySecret {
    /// The text now, without white space around it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) async fn read(&self) -> std::io::Result<String> {
        match self {
            Self::Text(text) => Ok(text.trim().to_owned()),
            Self::File(path) => Ok(tokio::fs::read_to_string(path).await?.trim().to_owned()),
        }
    }
}

impl fmt::Debug for RegistrySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("RegistrySecret(…)"),
            Self::File(path) => f.debug_tuple("RegistrySecret").field(path).finish(),
        }
    }
}

impl fmt::Debug for SourceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceAccess").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// How one source is asked.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// How often it is asked, where it has to be asked: 1 s to 1 h.
    pub every: Duration,
    /// What asks registries.
    pub access: SourceAccess,
}

impl SourceSettings {
    /// Whether a source is asked in the same way by both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.every == other.every && self.access.settings == other.access.settings
    }
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self { every: Duration::from_secs(30), access: SourceAccess::default() }
    }
}
