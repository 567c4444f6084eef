//! The randomness of the room: which endpoint is picked, how long a retry waits, which call an injected fault hits.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::sync::{Mutex, PoisonError};

/// A source of random numbers.
pub(crate) enum CallRng {
    /// The thread's own generator: it needs no lock.
    System,
    /// The same numbers in each run, for simulations.
    Seeded(Mutex<SmallRng>),
}

impl CallRng {
    /// The system's generator, or one that `seed` determines.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, |seed| Self::Seeded(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    /// A number below `bound`, each as likely as the others.
    pub(crate) fn below(&self, bound: usize) -> usize {
        match self {
            Self::System => rand::random_range(0..bound),
            Self::Seeded(generator) => generator.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..bound),
        }
    }
}
