//! One value of one series, as a guest hands it to the host.

/// A value with the name and the labels that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestSample {
    /// The name of the instrument.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// What it measures.
    pub help: String,
    /// Its attributes, in the order of their names, each name once.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: GuestValue,
    /// Since when the value has been counted.
    pub since: SampleStart,
}

/// Since when a value has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleStart {
    /// Since the instance began, or since a series of it did.
    First,
    /// Since its last export.
    Last,
}

/// A value, of the kind of its instrument.
#[derive(Debug, Clone, PartialEq)]
pub enum GuestValue {
    /// A sum that only grows.
    Counter(f64),
    /// A sum that may fall.
    UpDown(f64),
    /// A measured value; the last one counts.
    Gauge(f64),
    /// How values are distributed.
    Histogram(GuestDistribution),
}

/// How values are distributed over buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestDistribution {
    /// The upper bounds of all buckets but the last one, each above the one before.
    pub bounds: Vec<f64>,
    /// How many values each bucket has: one more than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

/// The most buckets of a histogram.
const MOST_BUCKETS: usize = 32;
/// The bounds of exponential histograms, whose own differ from instance to instance: three in each power of ten.
const EXPONENTIAL: [f64; 25] = [
    1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0,
    500.0, 1e3, 2e3, 5e3, 1e4,
];

impl GuestDistribution {
    /// Whether it can be added to others: its bounds grow, its counts fit, and there are not too many.
    pub fn is_right(&self) -> bool {
        self.bounds.len() < MOST_BUCKETS
            && self.counts.len() == self.bounds.len() + 1
            && self.sum.is_finite()
            && self.bounds.iter().all(|bound| bound.is_finite())
            && self.bounds.is_sorted_by(|below, above| below < above)
    }

    /// One with the bounds of exponential histograms and nothing in it.
    pub fn exponential(sum: f64) -> Self {
        Self { bounds: EXPONENTIAL.to_vec(), counts: vec![0; EXPONENTIAL.len() + 1], sum }
    }

    /// Adds `count` values, none of which is above `most`.
    pub fn add_below(&mut self, most: f64, count: u64) {
        let at = self.bounds.partition_point(|bound| *bound < most);
        self.counts[at] = self.counts[at].saturating_add(count);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl GuestValue {
    /// The word for its kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::UpDown(_) => "updown",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// Whether it can be added up: a counter that falls, or what is no number, cannot.
    pub(super) fn is_right(&self) -> bool {
        match self {
            Self::Counter(value) => value.is_finite() && *value >= 0.0,
            Self::UpDown(value) | Self::Gauge(value) => value.is_finite(),
            Self::Histogram(own) => own.is_right(),
        }
    }

    /// How many lines it takes in an exposition.
    pub(super) fn lines(&self) -> usize {
        if let Self::Histogram(own) = self { own.counts.len() + 2 } else { 1 }
    }

    /// How many numbers it has beside its own place.
    pub(super) fn numbers(&self) -> usize {
        if let Self::Histogram(own) = self { own.bounds.len() + own.counts.len() } else { 0 }
    }

    /// What has come since `before`, a value of the same series. One that has fallen began anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        match (self, before) {
            (Self::Counter(now), Self::Counter(before)) if now >= before => Self::Counter(now - before),
            (Self::UpDown(now), Self::UpDown(before)) => Self::UpDown(now - before),
            (Self::Histogram(now), Self::Histogram(before)) => Self::Histogram(now.since(before)),
            _ => self.clone(),
        }
    }

    /// Adds what has come. Whether it could: the kind and the bounds must be the same.
    pub(super) fn add(&mut self, more: &Self) -> bool {
        match (self, more) {
            (Self::Counter(sum), Self::Counter(more)) | (Self::UpDown(sum), Self::UpDown(more)) => *sum += more,
            (Self::Gauge(last), Self::Gauge(now)) => *last = *now,
            (Self::Histogram(sum), Self::Histogram(more)) if sum.bounds == more.bounds => {
                sum.sum += more.sum;
                for (sum, more) in sum.counts.iter_mut().zip(&more.counts) {
                    *sum = sum.saturating_add(*more);
                }
            }
            _ => return false,
        }
        true
    }
}

impl GuestDistribution {
    fn since(&self, before: &Self) -> Self {
        let grown = self.bounds == before.bounds && self.counts.iter().zip(&before.counts).all(|(now, was)| now >= was);
        if !grown {
            return self.clone();
        }
        let counts = self.counts.iter().zip(&before.counts).map(|(now, before)| now - before);
        Self { bounds: self.bounds.clone(), counts: counts.collect(), sum: self.sum - before.sum }
    }
}
