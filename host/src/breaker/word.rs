//! The one word that a call through a closed circuit reads: the epoch, and the faults in a row.

/// What the atomic holds: the epoch in the high half, the row in the low half.
///
/// The epoch wraps after 2³² transitions; a permit would have to live through exactly as many to be taken for a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) epoch: u32,
    /// Faults in a row, at most [`Word::LONGEST_ROW`], or one of the two marks above it.
    pub(super) row: u32,
}

impl Word {
    /// Stands in `row` while the circuit is open or half-open: the phase behind the lock says more.
    const UNCLOSED: u32 = u32::MAX;
    /// Stands in `row` while an operator holds the circuit closed: calls go through, and nothing is counted.
    const UNCOUNTED: u32 = u32::MAX - 1;
    /// A row does not grow beyond this, so that no count is taken for a mark.
    pub(super) const LONGEST_ROW: u32 = u32::MAX - 2;

    pub(super) const fn unpack(bits: u64) -> Self {
        Self { epoch: (bits >> 32) as u32, row: (bits & 0xffff_ffff) as u32 }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(self.row)
    }

    /// Whether calls go through without a look at the phase.
    pub(super) fn is_closed(self) -> bool {
        self.row != Self::UNCLOSED
    }

    /// Whether outcomes count: closed, and not by an operator.
    pub(super) fn is_counting(self) -> bool {
        self.row <= Self::LONGEST_ROW
    }

    /// The next epoch, closed and with nothing counted.
    pub(super) fn next_closed(self) -> Self {
        Self { epoch: self.epoch.wrapping_add(1), row: 0 }
    }

    /// The next epoch, open or half-open.
    pub(super) fn next_unclosed(self) -> Self {
        Self { row: Self::UNCLOSED, ..self.next_closed() }
    }

    /// The next epoch, held closed by an operator.
    pub(super) fn next_uncounted(self) -> Self {
        Self { row: Self::UNCOUNTED, ..self.next_closed() }
    }
}
