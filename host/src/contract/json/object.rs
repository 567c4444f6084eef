//! From JSON objects to records, maps, and what is one of several cases.

use super::fault::JsonPointer;
use super::read::JsonReader;
use super::scalar::{MemberName, Scalar};
use super::text::from_text;
use super::words::{Actual, Expected};
use crate::contract::{Record, Type, Value, Variant};
use serde::de::{IgnoredAny, MapAccess};
use std::collections::HashSet;

/// What the text has said of a field so far.
enum FieldState<V> {
    Absent,
    Sound(V),
    Faulty,
}

/// What follows from the name of the one member of a variant or a result.
#[derive(Clone, Copy)]
enum Payload<'t> {
    Typed(&'t Type),
    /// A `null` stands for what a side of a result does not carry.
    Null,
    /// A case without payload is a string; the object is a fault.
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
        let mut sound = true;
        let mut next = 0;
        // Most texts have their members in the order of the contract, so the search starts after the last one found.
        let find = |name: &str, next: usize| {
            let found = (next..fields.len()).chain(0..next).find(|&at| self.names.matches(&fields[at].name, name));
            if found.is_none() {
                self.ledger
                    .note(&JsonPointer::Member(self.place, name), format_args!("must not be there: it is not known"));
            }
            found
        };
        while let Some(found) = members.next_key_seed(MemberName(|name: &str| find(name, next)))? {
            let Some(at) = found else {
                sound = false;
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let place = JsonPointer::Named(self.place, self.names, &fields[at].name);
            if matches!(slots[at], FieldState::Absent) {
                let value = members.next_value_seed(self.part(&fields[at].ty, &place))?;
                slots[at] = value.map_or(FieldState::Faulty, FieldState::Sound);
            } else {
                sound = false;
                self.ledger.note(&place, format_args!("must not be there a second time"));
                members.next_value::<IgnoredAny>()?;
            }
            next = at + 1;
        }
        Ok(self.filled(record, slots).filter(|_| sound).map(V::record))
    }

    /// All fields, if each is there or may be absent.
    fn filled(&self, record: &Record, slots: Vec<FieldState<V>>) -> Option<Vec<(String, V)>> {
        let mut values = Some(Vec::with_capacity(slots.len()));
        for (field, slot) in record.fields.iter().zip(slots) {
            let value = match slot {
                FieldState::Sound(value) => Some(value),
                FieldState::Absent if matches!(field.ty.resolved(), Type::Option(_)) => {
                    self.ledger.admits(1, self.place).then(|| V::option(None))
                }
                FieldState::Absent => {
                    let place = JsonPointer::Named(self.place, self.names, &field.name);
                    self.ledger.note(&place, format_args!("must be there"));
                    None
                }
                FieldState::Faulty => None,
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
        // Each value of a key's type has one text, so equal keys have equal names.
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let place = JsonPointer::Member(self.place, &name);
            let read = from_text(key, self.names, &name);
            if read.is_none() {
                let expected = Expected { ty: key, names: self.names, or_null: false };
                let found = Actual::Text(&name);
                self.ledger.note(&place, format_args!("must have a name that is the text of {expected}, not {found}"));
            }
            if seen.contains(&name) {
                self.ledger.note(&place, format_args!("must not be there a second time"));
                entries = None;
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members.next_value_seed(self.part(value, &place))?;
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

    /// A case that is written as a string.
    pub(super) fn bare_case(&self, variant: &Variant, name: &str) -> Option<V> {
        match variant.cases.iter().find(|case| self.names.matches(&case.name, name)) {
            Some(case) if case.ty.is_none() => Some(V::variant(case.name.clone(), None)),
            Some(_) => self.fault(format_args!("must be {{\"{name}\": …}}, for this case carries a value")),
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

    /// Reads an object whose one member says by its name what it carries.
    fn one_of<'de, 't, A: MapAccess<'de>>(
        &self,
        mut members: A,
        find: impl Fn(&str) -> Option<(&'t str, Payload<'t>)>,
    ) -> Result<Option<(&'t str, Option<V>)>, A::Error> {
        let known = |name: &str| {
            let found = find(name);
            if found.is_none() {
                let expected = Expected { ty: self.ty, names: self.names, or_null: false };
                self.ledger.note(
                    &JsonPointer::Member(self.place, name),
                    format_args!("must not be there: {expected} is expected"),
                );
            }
            found
        };
        let Some(found) = members.next_key_seed(MemberName(known))? else {
            self.unfit(Actual::EmptyObject);
            return Ok(None);
        };
        let read = match found {
            Some((name, payload)) => {
                let place = JsonPointer::Named(self.place, self.names, name);
                self.payload(&mut members, name, payload, &place)?.map(|payload| (name, payload))
            }
            None => members.next_value::<IgnoredAny>().map(|_| None)?,
        };
        let mut sound = true;
        let surplus = |name: &str| {
            self.ledger.note(
                &JsonPointer::Member(self.place, name),
                format_args!("must not be there: one member says it all"),
            );
        };
        while members.next_key_seed(MemberName(surplus))?.is_some() {
            sound = false;
            members.next_value::<IgnoredAny>()?;
        }
        Ok(read.filter(|_| sound))
    }

    fn payload<'de, A: MapAccess<'de>>(
        &self,
        members: &mut A,
        name: &str,
        payload: Payload<'_>,
        place: &JsonPointer<'_>,
    ) -> Result<Option<Option<V>>, A::Error> {
        match payload {
            Payload::Typed(ty) => Ok(members.next_value_seed(self.part(ty, place))?.map(Some)),
            Payload::Null => members.next_value_seed(Scalar(|found: Actual<'_>| match found {
                Actual::Null => Some(None),
                other => {
                    self.ledger.note(place, format_args!("must be null, not {other}"));
                    None
                }
            })),
            Payload::None => {
                members.next_value::<IgnoredAny>()?;
                self.fault(format_args!(
                    "must be the string \"{}\", for this case carries nothing",
                    self.names.of(name)
                ));
                Ok(None)
            }
        }
    }
}
