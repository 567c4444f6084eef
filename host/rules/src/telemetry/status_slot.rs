//! The slots of statuses: one for each registered status, and one for the others of each class.
//!
//! A service may answer with any status from 100 to 999. Were each a label of its own, a service could make nine
//! hundred series for each of its routes.

/// The statuses of IANA's registry (<https://www.iana.org/assignments/http-status-codes>), and 499, with which the
/// gateway counts a request whose client went away, as nginx does.
const REGISTERED: [u16; 64] = [
    100, 101, 102, 103, 104, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307,
    308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423,
    424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511,
];

/// The classes of statuses by their first digit; `other` for what is no class. Each has a slot, after those of the
/// registered statuses.
pub(super) const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The number of slots.
pub(super) const SLOTS: usize = REGISTERED.len() + CLASSES.len();

/// The slot of a status.
pub(super) fn slot(status: u16) -> usize {
    REGISTERED.binary_search(&status).unwrap_or_else(|_| REGISTERED.len() + class(status))
}

/// The index of a status in [`CLASSES`].
pub(super) fn class(status: u16) -> usize {
    let class = usize::from(status / 100);
    if class < CLASSES.len() { class } else { 0 }
}

/// The status of a slot, or the class of its statuses.
pub(super) fn slot_name(slot: usize) -> String {
    let other = || CLASSES[(slot - REGISTERED.len()).min(CLASSES.len() - 1)].to_owned();
    REGISTERED.get(slot).map_or_else(other, u16::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_slot_that_names_it_or_its_class() {
        assert!(REGISTERED.is_sorted());
        for status in 0..=u16::MAX {
            let name = slot_name(slot(status));
            let class = if (100..600).contains(&status) { format!("{}xx", status / 100) } else { "other".into() };
            assert!(name == status.to_string() || name == class, "{status} is {name}");
        }
        assert_eq!((slot_name(slot(418)), slot_name(slot(419))), ("418".into(), "4xx".into()));
    }
}
