//! What the registry says of swaps, as this node has heard it.

use super::bucket_watch::BucketNews;
use super::key;
use super::swap_record;
use crate::base::ServiceName;
use crate::membership::{NodeName, SwapBoard};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The board, for the task that keeps it and for those who ask.
pub(super) struct SwapTable {
    board: watch::Sender<Arc<SwapBoard>>,
    /// The list that is being told; what of the board is not in it has gone meanwhile.
    list: Mutex<Option<SwapBoard>>,
}

impl SwapTable {
    pub(super) fn new() -> Self {
        Self { board: watch::Sender::default(), list: Mutex::default() }
    }

    pub(super) fn board(&self) -> watch::Receiver<Arc<SwapBoard>> {
        self.board.subscribe()
    }

    /// A whole list begins.
    pub(super) fn listing(&self) {
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(SwapBoard::default());
    }

    /// The list is whole.
    pub(super) fn listed(&self) {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(list) = list {
            self.board.send_replace(Arc::new(SwapBoard { is_whole: true, ..list }));
        }
    }

    /// One key has changed. Keys of other kinds are none of this table's.
    pub(super) fn tell(&self, kind: &str, name: &str, news: &BucketNews) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *list {
            Some(list) => drop(change(list, kind, name, news)),
            None => {
                self.board.send_if_modified(|board| change(Arc::make_mut(board), kind, name, news));
            }
        }
    }
}

/// Returns whether it concerned swaps.
fn change(board: &mut SwapBoard, kind: &str, name: &str, news: &BucketNews) -> bool {
    let text = match news {
        BucketNews::Written { text, .. } => Some(text.as_slice()),
        _ => None,
    };
    match kind {
        key::WANTED => {
            let Ok(service) = ServiceName::new(name) else { return false };
            put(&mut board.wanted, service, text.and_then(swap_record::read_wanted));
        }
        key::PROPOSAL => {
            let Ok(service) = ServiceName::new(name) else { return false };
            // What was agreed on counts from there on: `wanted` follows, if not by the node that has written this.
            if let Some((wanted, _)) = text.and_then(swap_record::read_agreed) {
                board.wanted.insert(service.clone(), wanted);
            }
            put(&mut board.proposals, service, text.and_then(swap_record::read_proposal));
        }
        key::VOTE => {
            let Some((service, node)) = name.split_once('.') else { return false };
            let (Ok(service), Ok(node)) = (ServiceName::new(service), NodeName::new(node)) else { return false };
            put(&mut board.votes, (service, node), text.and_then(swap_record::read_vote));
        }
        _ => return false,
    }
    true
}

fn put<K: Ord, V>(map: &mut std::collections::BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::membership::{SwapId, WantedRevision};

    #[test]
    fn a_list_replaces_what_was_there_before_at_its_end() {
        let table = SwapTable::new();
        let board = table.board();
        let wanted = WantedRevision {
            id: SwapId(1),
            digest: Digest([7; 32]),
            previous: None,
            rolls_back: false,
            by: String::new(),
            why: None,
        };
        let written =
            |key: &str| BucketNews::Written { key: key.to_owned(), text: swap_record::wanted(&wanted).into() };
        let known = || board.borrow().wanted.keys().map(ToString::to_string).collect::<Vec<_>>();
        table.listing();
        table.tell(key::WANTED, "users", &written("wanted.users"));
        assert!(known().is_empty() && !board.borrow().is_whole, "the list is not whole");
        table.listed();
        assert!(known() == ["users"] && board.borrow().is_whole);
        table.tell(key::WANTED, "orders", &written("wanted.orders"));
        table.tell(key::LEASE, "a", &written("lease.a"));
        assert_eq!(known(), ["orders", "users"]);
        table.tell(key::WANTED, "users", &BucketNews::Removed("wanted.users".into()));
        assert_eq!(known(), ["orders"]);
        table.listing();
        assert_eq!(known(), ["orders"], "until the next list is whole, the last one holds");
        table.listed();
        assert!(known().is_empty());
    }
}
