//! What stands in the registry of swaps, as JSON. Members that a later version adds are not looked at.

use crate::base::Digest;
use crate::membership::{Incarnation, NodeName, NodeVote, SwapId, SwapProposal, VoteWord, WantedRevision};
use serde::{Deserialize, Serialize};

/// The longest reason of a node, in characters.
const REASON: usize = 2000;

#[derive(Debug, Serialize, Deserialize)]
struct WantedRecord {
    id: String,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(default)]
    rolls_back: bool,
    #[serde(default)]
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProposalRecord {
    id: String,
    digest: String,
    node: String,
    incarnation: String,
    #[serde(default)]
    rolls_back: bool,
    /// What was agreed on: then nobody is asked any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agreed: Option<WantedRecord>,
    /// With it, the revision of the key that it replaces.
    #[serde(default)]
    on: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct VoteRecord {
    id: String,
    incarnation: String,
    word: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub(super) fn wanted(wanted: &WantedRevision) -> String {
    text(&wanted_record(wanted))
}

fn wanted_record(wanted: &WantedRevision) -> WantedRecord {
    WantedRecord {
        id: id(wanted.id),
        digest: wanted.digest.to_string(),
        previous: wanted.previous.map(|digest| digest.to_string()),
        rolls_back: wanted.rolls_back,
        by: wanted.by.clone(),
        why: wanted.why.as_ref().map(|why| why.chars().take(REASON).collect()),
    }
}

pub(super) fn read_wanted(text: &[u8]) -> Option<WantedRevision> {
    of_record(serde_json::from_slice(text).ok()?)
}

fn of_record(record: WantedRecord) -> Option<WantedRevision> {
    let WantedRecord { id, digest, previous, rolls_back, by, why } = record;
    let previous = previous.map(|digest| Digest::parse(&digest));
    let (id, digest) = (read_id(&id)?, Digest::parse(&digest)?);
    Some(WantedRevision { id, digest, previous: previous.flatten(), rolls_back, by, why })
}

pub(super) fn proposal(proposal: &SwapProposal) -> String {
    text(&proposal_record(proposal))
}

fn proposal_record(proposal: &SwapProposal) -> ProposalRecord {
    ProposalRecord {
        id: id(proposal.id),
        digest: proposal.digest.to_string(),
        node: proposal.node.to_string(),
        incarnation: proposal.incarnation.to_string(),
        rolls_back: proposal.rolls_back,
        agreed: None,
        on: 0,
    }
}

/// The proposal as what was agreed on; `on` is the revision of the key of what is wanted, which it replaces.
pub(super) fn agreed(proposal: &SwapProposal, wanted: &WantedRevision, on: u64) -> String {
    text(&ProposalRecord { agreed: Some(wanted_record(wanted)), on, ..proposal_record(proposal) })
}

/// What was agreed on, and the revision of the key that it replaces; `None`: the nodes are still asked.
pub(super) fn read_agreed(text: &[u8]) -> Option<(WantedRevision, u64)> {
    let ProposalRecord { agreed, on, .. } = serde_json::from_slice(text).ok()?;
    Some((of_record(agreed?)?, on))
}

/// What the nodes are asked.
pub(super) fn read_proposal(text: &[u8]) -> Option<SwapProposal> {
    let record: ProposalRecord = serde_json::from_slice(text).ok()?;
    let ProposalRecord { id, digest, node, incarnation, rolls_back, agreed: None, .. } = record else { return None };
    let (id, digest) = (read_id(&id)?, Digest::parse(&digest)?);
    let (node, incarnation) = (NodeName::new(&node).ok()?, Incarnation::parse(&incarnation)?);
    Some(SwapProposal { id, digest, node, incarnation, rolls_back })
}

pub(super) fn vote(vote: &NodeVote) -> String {
    let (word, why) = match &vote.word {
        VoteWord::Ready => ("ready", None),
        VoteWord::Refused(why) => ("refused", Some(why.chars().take(REASON).collect())),
        VoteWord::Follows => ("follows", None),
    };
    text(&VoteRecord { id: id(vote.id), incarnation: vote.incarnation.to_string(), word: word.to_owned(), why })
}

/// A word that this version does not know is none.
pub(super) fn read_vote(text: &[u8]) -> Option<NodeVote> {
    let VoteRecord { id, incarnation, word, why } = serde_json::from_slice(text).ok()?;
    let word = match word.as_str() {
        "ready" => VoteWord::Ready,
        "refused" => VoteWord::Refused(why.unwrap_or_default()),
        "follows" => VoteWord::Follows,
        _ => return None,
    };
    Some(NodeVote { id: read_id(&id)?, incarnation: Incarnation::parse(&incarnation)?, word })
}

fn id(id: SwapId) -> String {
    format!("{:016x}", id.0)
}

fn read_id(text: &str) -> Option<SwapId> {
    Incarnation::parse(text).map(|number| SwapId(number.0))
}

fn text(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("texts can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back_and_what_is_none_is_none() {
        let (id, digest) = (SwapId(0xab), Digest([9; 32]));
        let by = "loopback".to_owned();
        let one = WantedRevision {
            id,
            digest,
            previous: Some(Digest([8; 32])),
            rolls_back: true,
            by,
            why: Some("slow".into()),
        };
        assert_eq!(read_wanted(wanted(&one).as_bytes()), Some(one.clone()));
        let (node, incarnation) = (NodeName::new("a").unwrap(), Incarnation(5));
        let two = SwapProposal { id, digest, node, incarnation, rolls_back: false };
        let (asked, done) = (proposal(&two), agreed(&two, &one, 7));
        assert_eq!((read_proposal(asked.as_bytes()), read_agreed(asked.as_bytes())), (Some(two), None));
        assert_eq!((read_proposal(done.as_bytes()), read_agreed(done.as_bytes())), (None, Some((one.clone(), 7))));
        for word in [VoteWord::Ready, VoteWord::Refused("it traps".into()), VoteWord::Follows] {
            let three = NodeVote { id, incarnation: Incarnation(7), word };
            assert_eq!(read_vote(vote(&three).as_bytes()), Some(three));
        }
        for wrong in ["", "{}", &wanted(&one).replace("0909", "xx")] {
            assert_eq!(read_wanted(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(read_vote(br#"{"id":"00000000000000ab","incarnation":"0000000000000007","word":"later"}"#), None);
    }
}
