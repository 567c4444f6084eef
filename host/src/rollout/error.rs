//! Why a swap was refused. Nothing has changed then.

use super::wiring::WireError;
use crate::archive::ArchiveError;
use crate::base::ServiceName;
use crate::runtime::{InvokeError, LoadError};
use tokio::task::JoinError;

/// Why a revision was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// There is no such service.
    #[error("there is no service `{0}`")]
    Unknown(String),
    /// The service has plain HTTP addresses and no component.
    #[error("service `{0}` has no component: its `urls` are swapped in the manifest")]
    NoComponent(ServiceName),
    /// No other revision served before.
    #[error("service `{0}` has no revision to go back to")]
    NoPrevious(ServiceName),
    /// The component cannot serve.
    #[error("the component is refused: it {0}")]
    Refused(#[from] LoadError),
    /// Its imports of other services cannot be linked.
    #[error("the component is refused: it {0}")]
    Unwired(#[from] WireError),
    /// It is new, and lacks what the folder `wit` of its service describes.
    #[error("the component is refused: it {0}")]
    Undescribed(String),
    /// Other services or routes use something that it does not offer, or offers with other types.
    #[error(
        "the component is refused: {}. docs/evolving-a-contract.md has the changes that fit, and the way to make \
         another",
        .0.join(". ")
    )]
    Breaks(Vec<String>),
    /// A swap of another service changed which service answers its imports, after it was linked.
    #[error("the component was linked to services that no longer answer its imports: swap it in again")]
    Rewired,
    /// The component does not start.
    #[error("the component is refused: it does not start: {0}")]
    DoesNotStart(#[source] InvokeError),
    /// There was no free instance to try the component in.
    #[error("the host is too busy to try the component; try again: {0}")]
    Busy(#[source] InvokeError),
    /// Its calls cannot be compared in the shadow.
    #[error("service `{0}` cannot be compared in the shadow: {1}")]
    NoShadow(ServiceName, String),
    /// The migration of the data fails, in the words of the component or of the host.
    #[error("the data of service `{0}` cannot be migrated: {1}. Nothing has changed")]
    Migration(ServiceName, String),
    /// The disk failed at the commit of a migration, and does not say whether it took it.
    #[error(
        "the disk failed at the commit of a migration of service `{0}`, which may have happened all the same: {1}. The \
         revision before serves on; at the next start of the host the new one serves, and migrates what is missing"
    )]
    MigrationInDoubt(ServiceName, String),
    /// The data have a newer format than the revision reads.
    #[error(
        "the data of service `{service}` have format {data}, and this revision keeps format {revision}: swap in one \
         that reads them (`atoll swap {service}`), or bring back a snapshot from before, in maintenance (`atoll \
         maintenance on`, `atoll state erase`, `atoll state import`, then the older revision)"
    )]
    NewerData {
        /// The service.
        service: ServiceName,
        /// The format of the data.
        data: u32,
        /// The format of the revision.
        revision: u32,
    },
    /// A manifest is applied whole, and a migration cannot be taken back.
    #[error(
        "the component of service `{0}` migrates data: swap it in first (`atoll swap`), and apply the manifest then"
    )]
    Migrates(ServiceName),
    /// The revision before cannot read what the new one has written.
    #[error(
        "{0}. Swap in a revision first that reads both forms and writes the old one; or give the way back up: \
         `atoll rollout {1} promote --no-way-back`"
    )]
    NoWayBack(String, ServiceName),
    /// Meanwhile a manifest was applied that changes the service.
    #[error("a manifest was applied that changes service `{0}`: try again")]
    Replaced(ServiceName),
    /// A manifest cannot change a service whose revision is being changed.
    #[error("service `{0}` has a rollout or a swap under way: wait for its end, or end it, and try again")]
    UnderWay(ServiceName),
    /// Another revision serves than when the change was prepared.
    #[error("another revision of service `{0}` serves by now: try again")]
    Moved(ServiceName),
    /// The older revision serves, and the disk has not taken that.
    #[error(
        "{1} of service `{0}` serves again, but the disk has not taken that, so the one that it replaced would serve \
         after a restart: {2}. When there is room, order it once more: `atoll rollback {0} {1}`"
    )]
    Unrecorded(ServiceName, String, String),
    /// There is no such rollout under way.
    #[error("service `{0}` has no such rollout under way")]
    NoRollout(ServiceName),
    /// A rollout that was under way when the host ended had not begun.
    #[error("no call had gone to it")]
    NotBegun,
    /// The host keeps no history.
    #[error("the host keeps no history: add a section [history] to the manifest")]
    NoHistory,
    /// The history cannot be read or written.
    #[error("{0}")]
    History(#[source] ArchiveError),
    /// The host failed while it compiled the component.
    #[error("the host failed: {0}")]
    Host(#[source] JoinError),
}

impl SwapError {
    /// A stable name of the reason, for metrics and the log: kebab-case.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-service",
            Self::NoComponent(_) => "no-component",
            Self::NoPrevious(_) => "no-previous",
            Self::Refused(_) => "invalid",
            Self::Unwired(_) => "unwired",
            Self::Undescribed(_) => "undescribed",
            Self::Breaks(_) => "breaks-callers",
            Self::Rewired => "rewired",
            Self::Replaced(_) | Self::Moved(_) => "replaced",
            Self::UnderWay(_) => "under-way",
            Self::DoesNotStart(_) => "does-not-start",
            Self::Busy(_) => "busy",
            Self::NoShadow(..) => "no-shadow",
            Self::Migration(..) | Self::MigrationInDoubt(..) => "migration",
            Self::NewerData { .. } => "newer-data",
            Self::Migrates(_) => "migrates",
            Self::NoWayBack(..) => "no-way-back",
            Self::NoRollout(_) | Self::NotBegun => "no-rollout",
            Self::History(_) | Self::NoHistory | Self::Unrecorded(..) => "history",
            Self::Host(_) => "host",
        }
    }
}
