//! How far a subscription is.

use std::collections::BTreeMap;

/// Which events of a topic a subscription has settled: all up to a floor, and ranges above it. Events of different keys
/// end in any order, so one that takes long leaves a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// All events up to this number are settled.
    floor: u64,
    /// Ranges above the floor that are settled: first and last number. They do not touch.
    above: BTreeMap<u64, u64>,
}

impl Progress {
    /// All events up to `floor` are settled.
    pub fn up_to(floor: u64) -> Self {
        Self { floor, above: BTreeMap::new() }
    }

    /// All events up to this number are settled.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether the event is settled.
    pub fn is_settled(&self, number: u64) -> bool {
        number <= self.floor || self.above.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// How many events up to `last` are not settled.
    pub fn open_up_to(&self, last: u64) -> u64 {
        let settled = self.above.range(..=last).map(|(first, end)| end.min(&last) - first + 1).sum::<u64>();
        last.saturating_sub(self.floor).saturating_sub(settled)
    }

    /// The events from `first` to `last` are settled.
    pub fn settle(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first.max(self.floor + 1), last);
        if first > last {
            return;
        }
        // The range before, if it touches, and all that begin within or directly behind.
        if let Some((&start, &end)) = self.above.range(..first).next_back()
            && end + 1 >= first
        {
            (first, last) = (start, last.max(end));
        }
        while let Some((&start, &end)) = self.above.range(first..=last.saturating_add(1)).next() {
            self.above.remove(&start);
            last = last.max(end);
        }
        if first == self.floor + 1 {
            self.floor = last;
        } else {
            self.above.insert(first, last);
        }
    }

    /// The greatest number that is settled.
    pub fn highest(&self) -> u64 {
        self.above.last_key_value().map_or(self.floor, |(_, last)| *last)
    }

    /// Forgets what is settled above `last`: the log ends there, and gives these numbers anew.
    pub fn cut(&mut self, last: u64) {
        self.floor = self.floor.min(last);
        drop(self.above.split_off(&last.saturating_add(1)));
        if let Some(mut end) = self.above.last_entry() {
            *end.get_mut() = last.min(*end.get());
        }
    }

    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = self.above.iter().flat_map(|(first, last)| [first, last]);
        std::iter::once(&self.floor).chain(numbers).flat_map(|number| number.to_be_bytes()).collect()
    }

    /// The progress of these bytes; `None` if they are not those of [`Progress::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_be_bytes(*number));
        let mut progress = Self::up_to(numbers.next()?);
        while let Some(first) = numbers.next() {
            let last = numbers.next()?;
            let before = progress.above.last_key_value().map_or(progress.floor, |(_, last)| *last);
            if first <= before + 1 || last < first {
                return None;
            }
            progress.above.insert(first, last);
        }
        rest.is_empty().then_some(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(floor in 0u64..5, ranges in proptest::collection::vec((0u64..60, 0u64..6), 0..40)) {
            let mut progress = Progress::up_to(floor);
            let mut model: BTreeSet<u64> = (1..=floor).collect();
            for (first, length) in ranges {
                progress.settle(first, first + length);
                model.extend(first.max(1)..=first + length);
                for number in 1..70 {
                    prop_assert_eq!(progress.is_settled(number), model.contains(&number), "{}", number);
                }
                let open = |last: u64| (1..=last).filter(|number| !model.contains(number)).count() as u64;
                prop_assert_eq!((progress.open_up_to(66), progress.open_up_to(9)), (open(66), open(9)));
                prop_assert_eq!(Progress::decode(&progress.encode()), Some(progress.clone()));
                prop_assert!(!progress.is_settled(progress.floor() + 1));
                prop_assert_eq!(progress.highest(), model.last().copied().unwrap_or(0));
            }
            for last in (0..70).rev() {
                progress.cut(last);
                model.split_off(&(last + 1));
                for number in 1..70 {
                    prop_assert_eq!(progress.is_settled(number), model.contains(&number), "{} of {}", number, last);
                }
                prop_assert_eq!(Progress::decode(&progress.encode()), Some(progress.clone()));
            }
        }
    }

    #[test]
    fn other_bytes_are_no_progress() {
        let numbers = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        for wrong in [vec![], vec![0; 7], numbers(&[3, 5]), numbers(&[3, 4, 5]), numbers(&[3, 6, 5]), vec![0; 9]] {
            assert_eq!(Progress::decode(&wrong), None, "{wrong:?}");
        }
    }
}
