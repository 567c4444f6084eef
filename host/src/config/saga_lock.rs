//! `lock` of a `[saga.NAME]`: what a saga has alone while it goes on.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{ChoiceKind, TextKind};
use super::reader::measure::{DAY, DurationKind};
use super::reader::section::Section;
use super::saga_binding::BindingKind;
use crate::saga::{Binding, BindingRoot, SagaLock, WhenTaken, bound};

/// The key.
pub(super) const NAME: &str = "lock";

static VALUE: ManifestKey<BindingKind> = ManifestKey::without_default(
    "value",
    BindingKind,
    "What is locked: a part of the input, as `\"$input.order\"`. It is required.",
);
static OF: ManifestKey<TextKind> = ManifestKey::without_default(
    "of",
    TextKind { min: 1 },
    "What kind of thing the value is: sagas of several definitions share a lock by this name. Absent: the name of the \
     saga.",
);
static TAKEN: ManifestKey<ChoiceKind<WhenTaken>> = ManifestKey::new(
    "taken",
    ChoiceKind(&[("refuse", WhenTaken::Refuse), ("wait", WhenTaken::Wait)]),
    r#""refuse""#,
    "What becomes of a start whose value another saga has: it is refused with 409, or the saga is started and waits \
     for its turn.",
);
static EXPIRES: ManifestKey<DurationKind> = ManifestKey::new(
    "expires",
    DurationKind { min: 100, max: 365 * DAY },
    r#""1h""#,
    "How long a saga has the lock at most. Then another one may have it, although this one goes on.",
);

/// Reads the table of the saga `saga`; `None` if it is wrong, which was reported. `by_event`: whether an event starts
/// the saga.
pub(super) fn read(section: &mut Section<'_>, saga: &str, by_event: bool) -> Option<SagaLock> {
    let report = section.report;
    let (value, of) = (section.find(&VALUE), section.find(&OF));
    let (taken, expires) = (section.get_sourced(&TAKEN), section.get(&EXPIRES));
    let here = || ValueOrigin::Text(section.span.clone());
    if section.lacks(VALUE.name) {
        report.push_if_whole(here(), "a lock has no `value`", "add value = \"$input.order\"");
    }
    if by_event && taken.value == WhenTaken::Refuse {
        let origin = taken.span().map_or_else(here, ValueOrigin::Text);
        let message = "the saga is started by events, and an event cannot be refused";
        report.push_if_whole(origin, message, "write taken = \"wait\"");
    }
    let value = value?;
    let path = match value.value {
        Binding::Path(path) if path.root == BindingRoot::Input => path,
        _ => {
            let message = "the value of a lock is a part of the input, which is known when the saga starts";
            report.push(value.origin, message, "write value = \"$input.order\"");
            return None;
        }
    };
    let name = match of {
        Some(of) if of.value.len() > bound::NAME => {
            let message = format!("the name of a lock has at most {} bytes", bound::NAME);
            report.push(of.origin, message, "shorten it");
            return None;
        }
        Some(of) => of.value.into(),
        None => saga.into(),
    };
    Some(SagaLock { name, value: path, taken: taken.value, expires })
}
