//! The table of this node, for the tasks that keep it and for those who ask.

use crate::membership::{ClusterView, MemberTable};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The table, and the view that is handed on. The lock is held for the change of one value, and never while one waits.
pub(super) struct SharedTable {
    table: Mutex<MemberTable>,
    view: watch::Sender<Arc<ClusterView>>,
}

impl SharedTable {
    pub(super) fn new(table: MemberTable) -> Self {
        let view = watch::Sender::new(Arc::new(table.view()));
        Self { table: Mutex::new(table), view }
    }

    /// Changes the table, and hands on the view if it is another one then.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut MemberTable, Instant) -> T) -> T {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut table, Instant::now());
        let view = table.view();
        // Under the lock: of two changes the later one is handed on later.
        self.view.send_if_modified(|before| {
            let is_new = **before != view;
            if is_new {
                *before = Arc::new(view);
            }
            is_new
        });
        outcome
    }

    /// Looks at the table.
    pub(super) fn look<T>(&self, look: impl FnOnce(&MemberTable) -> T) -> T {
        look(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.subscribe()
    }
}
