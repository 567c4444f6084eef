//! Floor 2: what a node knows of the other nodes of its cluster, and for how long it may believe it.
//!
//! Owns the vocabulary of a cluster ([`NodeName`], [`NodeRow`], [`ServiceRow`], [`ClusterView`]) and five rules: when a
//! holder may still act on its lease ([`LeaseClaim`]), which rows of other nodes count ([`MemberTable`]), who leads
//! ([`Campaign`]), which nodes have the instances of a service ([`Placement`]), and on which revision of it all agree
//! ([`SwapBoard`]). The view is handed on as `tokio::sync::watch::Receiver<Arc<ClusterView>>`: a reader takes the
//! newest whole view without waiting, and whoever keeps connections to nodes is woken by a change of it.
//!
//! What always holds:
//! - A holder counts its lease from before it sent the renewal, on its own monotonic clock, and stops a margin before
//!   the end: when the store lets somebody else have the lease, the holder has stopped.
//! - Each tenure of a lease has a [`Fence`] above all before it. What a lease guards is written with the fence, and a
//!   write with an older one is refused: a holder that slept and wakes up does no harm.
//! - A row counts if its node has a lease of the same incarnation.
//! - Silence of the registry is not the death of the fleet: while it is away, and until this node's own connection was
//!   up for a whole lease, nobody leaves the view; and then not more than a share of the nodes in one lease, unless
//!   somebody has looked and found them dead.
//! - The view always has this node itself.
//! - Nodes with equal views place a service alike. When a node goes, or comes, at most one other node begins or ends to
//!   have instances; and nobody gives up its own before those in its place are ready, or while the registry is away.
//!
//! No host leads yet: [`Campaign`] and [`Fence::may_follow`] are held by the simulation, and used by nothing else.
//!
//! Never: reads a clock, sends anything, or knows NATS (`cluster` does).
//!
//! Tests: beside each file, and in `tests/`: the table against a naive model, and a seeded simulation of hundreds of
//! nodes on a clock of its own, with mutants that it catches. Histories of the leader's lease, and of swaps by several
//! nodes at a time, are checked for linearizability.

mod agreement;
mod campaign;
mod lease_claim;
mod member_table;
mod node_name;
mod node_row;
mod placement;
mod swap_voter;
#[cfg(test)]
mod tests;
mod view;

pub use agreement::{NodeVote, SwapBoard, SwapId, SwapProposal, Tally, VoteWord, WantedRevision};
pub use campaign::Campaign;
pub use lease_claim::{Fence, LeaseClaim, LeaseTerms};
pub use member_table::{EvictionRule, MemberTable};
pub use node_name::{InvalidNodeName, NodeName, ZoneName};
pub use node_row::{Incarnation, NodeRow, ServiceRow, Standing};
pub use placement::{PlaceOrder, Placement, PlacementRule};
pub use swap_voter::SwapVoter;
pub use view::ClusterView;
