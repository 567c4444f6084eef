//! What is wrong with a JSON text, and where.

use super::json_pointer::JsonPointer;
use std::cell::{Cell, RefCell};
use std::fmt;

/// The most violations of one text that are reported: the first ones.
pub const MAX_VIOLATIONS: usize = 100;

/// The most bytes that the reported violations of one text take; the violation that passes the bound is the last. Each
/// pointer repeats the names above its position: without a bound, one long name with many violations below it makes an
/// answer of a hundred times the text.
pub const MAX_VIOLATION_BYTES: usize = 64 * 1024;

/// The most values that one text may have. An engine keeps some 40 to 120 bytes for each, and `{}` may stand for a
/// record of many absent fields, so a bound on the size of the text does not bound the memory.
pub const MAX_VALUES: usize = 1 << 18;

/// Why a text is not a value of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The text is not JSON.
    #[error("line {line}, column {column}: {detail}")]
    Malformed {
        /// The first line is 1.
        line: usize,
        /// The number of bytes of the line that were read; 0 if none was.
        column: usize,
        /// The parser's message.
        detail: String,
    },
    /// The text is JSON but not of the type: at least one violation, at most [`MAX_VIOLATIONS`], in the order of the
    /// text.
    #[error("the JSON is not of its type in {} place(s)", .0.len())]
    Violations(Vec<Violation>),
}

/// One part of a text that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The JSON pointer (RFC 6901) of the part. For a missing member it is the pointer that the member would have.
    pub pointer: String,
    /// What is wrong, as the rest of a sentence about the part: "must be true or false, not 3".
    pub detail: String,
}

/// The violations that the reading of one text has found so far, and the number of values that it has made.
#[derive(Debug, Default)]
pub(super) struct ViolationLedger {
    violations: RefCell<Vec<Violation>>,
    /// The bytes that the violations take.
    bytes: Cell<usize>,
    values: Cell<usize>,
    /// Whether this reading decides about numbers by their texts.
    by_text: bool,
    /// Whether a number was found that a double may have changed.
    rounded: Cell<bool>,
}

impl ViolationLedger {
    /// The ledger of a reading that decides about numbers by their texts.
    pub(super) fn by_text() -> Self {
        Self { by_text: true, ..Self::default() }
    }

    /// Whether this reading decides about numbers by their texts.
    pub(super) fn decides_by_text(&self) -> bool {
        self.by_text
    }

    /// Notes that a number was found that a double may have changed.
    pub(super) fn note_rounded(&self) {
        self.rounded.set(true);
    }

    /// Whether a number was found that a double may have changed: the text must be read again.
    pub(super) fn has_rounded(&self) -> bool {
        self.rounded.get()
    }

    /// Records a violation. Beyond the bounds it is dropped, and its text is not even made.
    pub(super) fn record(&self, pointer: &JsonPointer<'_>, detail: fmt::Arguments<'_>) {
        let mut violations = self.violations.borrow_mut();
        if violations.len() < MAX_VIOLATIONS && self.bytes.get() <= MAX_VIOLATION_BYTES {
            let violation = Violation { pointer: pointer.to_string(), detail: detail.to_string() };
            self.bytes.set(self.bytes.get() + violation.pointer.len() + violation.detail.len());
            violations.push(violation);
        }
    }

    /// Whether `more` values may be made, at `pointer`. The first time that they may not, that is recorded as a
    /// violation.
    pub(super) fn admits(&self, more: usize, pointer: &JsonPointer<'_>) -> bool {
        let before = self.values.get();
        let after = before.saturating_add(more);
        self.values.set(after);
        if before <= MAX_VALUES && after > MAX_VALUES {
            let detail = format_args!("must not be there: a text has at most {MAX_VALUES} values, bytes counted");
            self.record(pointer, detail);
        }
        after <= MAX_VALUES
    }

    /// All violations that were recorded.
    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.violations.into_inner()
    }
}
