//! The one atomic word that a call through a closed circuit reads: the epoch, and the streak of faults.

/// What the atomic holds: the epoch in the high 32 bits, the streak in the low 32 bits.
///
/// The epoch wraps after 2³² transitions. A permit would have to live through exactly that many transitions to be
/// taken for a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedState {
    pub(super) epoch: u32,
    /// Consecutive faults, at most [`PackedState::LONGEST_STREAK`], or one of the two marks above it.
    pub(super) streak: u32,
}

impl PackedState {
    /// The mark in `streak` while the circuit is open or half-open: the phase behind the lock says which.
    const NOT_CLOSED: u32 = u32::MAX;
    /// The mark in `streak` while an operator holds the circuit closed: calls go through, and nothing is counted.
    const NOT_COUNTING: u32 = u32::MAX - 1;
    /// A streak stops growing here, so that no count is taken for a mark.
    pub(super) const LONGEST_STREAK: u32 = u32::MAX - 2;

    pub(super) const fn unpack(bits: u64) -> Self {
        Self { epoch: (bits >> 32) as u32, streak: (bits & 0xffff_ffff) as u32 }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(self.streak)
    }

    /// Whether calls go through without reading the phase.
    pub(super) fn is_closed(self) -> bool {
        self.streak != Self::NOT_CLOSED
    }

    /// Whether outcomes count: the circuit is closed, and no operator holds it closed.
    pub(super) fn is_counting(self) -> bool {
        self.streak <= Self::LONGEST_STREAK
    }

    /// The next epoch, closed and with nothing counted.
    pub(super) fn next_closed(self) -> Self {
        Self { epoch: self.epoch.wrapping_add(1), streak: 0 }
    }

    /// The next epoch, open or half-open.
    pub(super) fn next_not_closed(self) -> Self {
        Self { streak: Self::NOT_CLOSED, ..self.next_closed() }
    }

    /// The next epoch, held closed by an operator.
    pub(super) fn next_not_counting(self) -> Self {
        Self { streak: Self::NOT_COUNTING, ..self.next_closed() }
    }
}
