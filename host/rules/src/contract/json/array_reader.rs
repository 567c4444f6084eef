//! Reads JSON arrays: lists, tuples, flags, and options whose `none` cannot be `null`.

use super::expected::{Actual, ExpectedFlag, count};
use super::json_pointer::JsonPointer;
use super::reader::JsonReader;
use super::seed::ScalarSeed;
use super::value::Value;
use crate::contract::wit::{Flags, Type};
use serde::de::{IgnoredAny, SeqAccess};

impl<V: Value> JsonReader<'_, V> {
    pub(super) fn list<'de, A: SeqAccess<'de>>(&self, item: &Type, items: A) -> Result<Option<V>, A::Error> {
        let (values, _) = self.items(items, |_| Some(item))?;
        Ok(values.map(V::list))
    }

    pub(super) fn fixed_list<'de, A: SeqAccess<'de>>(
        &self,
        item: &Type,
        length: u32,
        items: A,
    ) -> Result<Option<V>, A::Error> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (values, found) = self.items(items, |index| (index < length).then_some(item))?;
        Ok(self.of_length(length, found, values).map(V::fixed_list))
    }

    pub(super) fn tuple<'de, A: SeqAccess<'de>>(&self, types: &[Type], items: A) -> Result<Option<V>, A::Error> {
        let (values, found) = self.items(items, |index| types.get(index))?;
        Ok(self.of_length(types.len(), found, values).map(V::tuple))
    }

    /// Reads an option whose inner type uses `null` already: `[]` or `[value]`.
    pub(super) fn bracketed<'de, A: SeqAccess<'de>>(&self, inner: &Type, items: A) -> Result<Option<V>, A::Error> {
        let (values, found) = self.items(items, |index| (index == 0).then_some(inner))?;
        if found > 1 {
            return Ok(self.violation(format_args!("must have at most 1 item, not {found}")));
        }
        Ok(values.map(|mut values| V::option(values.pop())))
    }

    pub(super) fn flags<'de, A: SeqAccess<'de>>(&self, flags: &Flags, mut items: A) -> Result<Option<V>, A::Error> {
        let mut set = vec![false; flags.flags.len()];
        let mut valid = true;
        let mut index = 0;
        loop {
            let pointer = JsonPointer::Item(self.pointer, index);
            let name = ScalarSeed(|found: Actual<'_>| self.flag(flags, &mut set, &pointer, found));
            let Some(known) = items.next_element_seed(name)? else { break };
            valid &= known;
            index += 1;
        }
        let names = flags.flags.iter().zip(&set).filter(|(_, set)| **set).map(|(name, _)| name.clone());
        Ok(valid.then(|| V::flags(names.collect())))
    }

    /// Sets the flag that an item names. Returns `false` if it has recorded a violation instead.
    fn flag(&self, flags: &Flags, set: &mut [bool], pointer: &JsonPointer<'_>, found: Actual<'_>) -> bool {
        let flag = match found {
            Actual::Text(name) => flags.flags.iter().position(|flag| self.names.matches(flag, name)),
            _ => None,
        };
        match flag {
            Some(flag) if !set[flag] => {
                set[flag] = true;
                return true;
            }
            Some(_) => self.ledger.record(pointer, format_args!("must not be there a second time")),
            None => {
                let known = ExpectedFlag { flags, names: self.names };
                self.ledger.record(pointer, format_args!("must be {known}, not {found}"));
            }
        }
        false
    }

    /// Reads all items and counts them. An item without a type is only counted. The values are `None` if an item has a
    /// violation.
    fn items<'de, 't, A: SeqAccess<'de>>(
        &self,
        mut items: A,
        type_of: impl Fn(usize) -> Option<&'t Type>,
    ) -> Result<(Option<Vec<V>>, usize), A::Error> {
        let mut values = Some(Vec::new());
        let mut index = 0;
        loop {
            let pointer = JsonPointer::Item(self.pointer, index);
            match type_of(index) {
                Some(ty) => {
                    let Some(value) = items.next_element_seed(self.part(ty, &pointer))? else { break };
                    values = values.zip(value).map(|(mut values, value)| {
                        values.push(value);
                        values
                    });
                }
                None if items.next_element::<IgnoredAny>()?.is_none() => break,
                None => {}
            }
            index += 1;
        }
        Ok((values, index))
    }

    fn of_length(&self, length: usize, found: usize, values: Option<Vec<V>>) -> Option<Vec<V>> {
        if length == found {
            return values;
        }
        self.violation(format_args!("must have {}, not {found}", count(length, "item")));
        None
    }
}
