//! How far an endpoint is from this node.

/// How far an endpoint is, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// It is an instance of this node, or an address that the manifest names.
    Here,
    /// It is on another node of this zone.
    Zone,
    /// It is on a node of another zone.
    Far,
}

impl Distance {
    const ALL: [Self; 3] = [Self::Here, Self::Zone, Self::Far];

    /// Those that are no farther than `most`, the nearest first.
    pub(crate) fn up_to(most: Self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take_while(move |distance| *distance <= most)
    }
}
