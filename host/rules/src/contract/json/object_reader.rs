//! Reads JSON objects: records, maps, variants and results.

use super::expected::{Actual, Expected};
use super::json_pointer::JsonPointer;
use super::reader::JsonReader;
use super::scalar_parser::parse_scalar;
use super::seed::{MemberNameSeed, ScalarSeed};
use super::value::Value;
use crate::contract::wit::{Record, Type, Variant};
use serde::de::{IgnoredAny, MapAccess};
use std::collections::HashSet;

/// What the text has had for a field so far.
enum FieldState<V> {
    Absent,
    Read(V),
    /// The field was there, with a violation.
    Broken,
}

/// What the one member of a variant or a result must carry; its name decides that.
#[derive(Clone, Copy)]
enum Payload<'t> {
    Typed(&'t Type),
    /// `null`: this side of a result has no payload.
    Null,
    /// Nothing: a case without payload must be written as a string, and the object is a violation.
    None,
}

impl<V: Value> JsonReader<'_, V> {
    pub(super) fn record<'de, A: MapAccess<'de>>(
        &self,
        record: &Record,
        mut members: A,
    ) -> Result<Option<V>, A::Error> {
        let fields = &record.fields;
        let mut slots: Vec<FieldState<V>> = fields.iter().map(|_| FieldState::Absent).collect();
        let mut valid = true;
        let mut next = 0;
        // Most texts have their members in the order of the contract, so the search starts after the member found last.
        let find = |name: &str, next: usize| {
            let found = (next..fields.len()).chain(0..next).find(|&at| self.names.matches(&fields[at].name, name));
            if found.is_none() {
                self.ledger.record(
                    &JsonPointer::Member(self.pointer, name),
                    format_args!("must not be there: it is not known"),
                );
            }
            found
        };
        while let Some(found) = members.next_key_seed(MemberNameSeed(|name: &str| find(name, next)))? {
            let Some(at) = found else {
                valid = false;
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let pointer = JsonPointer::Named(self.pointer, self.names, &fields[at].name);
            if matches!(slots[at], FieldState::Absent) {
                let value = members.next_value_seed(self.part(&fields[at].ty, &pointer))?;
                slots[at] = value.map_or(FieldState::Broken, FieldState::Read);
            } else {
                valid = false;
                self.ledger.record(&pointer, format_args!("must not be there a second time"));
                members.next_value::<IgnoredAny>()?;
            }
            next = at + 1;
        }
        Ok(self.filled(record, slots).filter(|_| valid).map(V::record))
    }

    /// The values of all fields; `None` if a field is broken, or is absent and must not be.
    fn filled(&self, record: &Record, slots: Vec<FieldState<V>>) -> Option<Vec<(String, V)>> {
        let mut values = Some(Vec::with_capacity(slots.len()));
        for (field, slot) in record.fields.iter().zip(slots) {
            let value = match slot {
                FieldState::Read(value) => Some(value),
                FieldState::Absent if matches!(field.ty.resolved(), Type::Option(_)) => {
                    self.ledger.admits(1, self.pointer).then(|| V::option(None))
                }
                FieldState::Absent => {
                    let pointer = JsonPointer::Named(self.pointer, self.names, &field.name);
                    self.ledger.record(&pointer, format_args!("must be there"));
                    None
                }
                FieldState::Broken => None,
            };
            values = values.zip(value).map(|(mut values, value)| {
                values.push((field.name.clone(), value));
                values
            });
        }
        values
    }

    pub(super) fn map<'de, A: MapAccess<'de>>(
        &self,
        key: &Type,
        value: &Type,
        mut members: A,
    ) -> Result<Option<V>, A::Error> {
        let mut entries = Some(Vec::new());
        // Each value of a key's type has exactly one text, so equal keys have equal names.
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let pointer = JsonPointer::Member(self.pointer, &name);
            let read = parse_scalar(key, self.names, &name);
            if read.is_none() {
                let expected = Expected { ty: key, names: self.names, or_null: false };
                let found = Actual::Text(&name);
                self.ledger
                    .record(&pointer, format_args!("must have a name that is the text of {expected}, not {found}"));
            }
            if seen.contains(&name) {
                self.ledger.record(&pointer, format_args!("must not be there a second time"));
                entries = None;
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members.next_value_seed(self.part(value, &pointer))?;
            entries = entries.zip(read.zip(value)).map(|(mut entries, entry)| {
                entries.push(entry);
                entries
            });
            seen.insert(name);
        }
        Ok(entries.map(V::map))
    }

    pub(super) fn variant<'de, A: MapAccess<'de>>(&self, variant: &Variant, members: A) -> Result<Option<V>, A::Error> {
        let case = self.one_of(members, |name| {
            let case = variant.cases.iter().find(|case| self.names.matches(&case.name, name))?;
            Some((case.name.as_str(), case.ty.as_ref().map_or(Payload::None, Payload::Typed)))
        })?;
        Ok(case.map(|(name, payload)| V::variant(name.to_owned(), payload)))
    }

    /// Reads a case that is written as a string.
    pub(super) fn bare_case(&self, variant: &Variant, name: &str) -> Option<V> {
        match variant.cases.iter().find(|case| self.names.matches(&case.name, name)) {
            Some(case) if case.ty.is_none() => Some(V::variant(case.name.clone(), None)),
            Some(_) => self.violation(format_args!("must be {{\"{name}\": …}}, because this case carries a value")),
            None => self.unfit(Actual::Text(name)),
        }
    }

    pub(super) fn result<'de, A: MapAccess<'de>>(
        &self,
        ok: Option<&Type>,
        err: Option<&Type>,
        members: A,
    ) -> Result<Option<V>, A::Error> {
        let side = self.one_of(members, |name| match name {
            "ok" => Some(("ok", ok.map_or(Payload::Null, Payload::Typed))),
            "err" => Some(("err", err.map_or(Payload::Null, Payload::Typed))),
            _ => None,
        })?;
        Ok(side.map(|(name, payload)| V::result(if name == "ok" { Ok(payload) } else { Err(payload) })))
    }

    /// Reads an object with one member, whose name says what the member carries.
    fn one_of<'de, 't, A: MapAccess<'de>>(
        &self,
        mut members: A,
        find: impl Fn(&str) -> Option<(&'t str, Payload<'t>)>,
    ) -> Result<Option<(&'t str, Option<V>)>, A::Error> {
        let known = |name: &str| {
            let found = find(name);
            if found.is_none() {
                let expected = Expected { ty: self.ty, names: self.names, or_null: false };
                self.ledger.record(
                    &JsonPointer::Member(self.pointer, name),
                    format_args!("must not be there: {expected} is expected"),
                );
            }
            found
        };
        let Some(found) = members.next_key_seed(MemberNameSeed(known))? else {
            self.unfit(Actual::EmptyObject);
            return Ok(None);
        };
        let read = match found {
            Some((name, payload)) => {
                let pointer = JsonPointer::Named(self.pointer, self.names, name);
                self.payload(&mut members, name, payload, &pointer)?.map(|payload| (name, payload))
            }
            None => members.next_value::<IgnoredAny>().map(|_| None)?,
        };
        let mut valid = true;
        let surplus = |name: &str| {
            self.ledger.record(
                &JsonPointer::Member(self.pointer, name),
                format_args!("must not be there: the object has exactly one member"),
            );
        };
        while members.next_key_seed(MemberNameSeed(surplus))?.is_some() {
            valid = false;
            members.next_value::<IgnoredAny>()?;
        }
        Ok(read.filter(|_| valid))
    }

    fn payload<'de, A: MapAccess<'de>>(
        &self,
        members: &mut A,
        name: &str,
        payload: Payload<'_>,
        pointer: &JsonPointer<'_>,
    ) -> Result<Option<Option<V>>, A::Error> {
        match payload {
            Payload::Typed(ty) => Ok(members.next_value_seed(self.part(ty, pointer))?.map(Some)),
            Payload::Null => members.next_value_seed(ScalarSeed(|found: Actual<'_>| match found {
                Actual::Null => Some(None),
                other => {
                    self.ledger.record(pointer, format_args!("must be null, not {other}"));
                    None
                }
            })),
            Payload::None => {
                members.next_value::<IgnoredAny>()?;
                self.violation(format_args!(
                    "must be the string \"{}\", because this case carries nothing",
                    self.names.of(name)
                ));
                Ok(None)
            }
        }
    }
}
