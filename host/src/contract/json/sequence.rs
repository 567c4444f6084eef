//! From JSON arrays to lists, tuples, flags, and options that `null` cannot stand for.

use super::fault::JsonPointer;
use super::read::JsonReader;
use super::scalar::Scalar;
use super::words::{Actual, ExpectedFlag, count};
use crate::contract::{Flags, Type, Value};
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

    /// An option whose inner type has a `null` of its own: `[]` or `[value]`.
    pub(super) fn bracketed<'de, A: SeqAccess<'de>>(&self, inner: &Type, items: A) -> Result<Option<V>, A::Error> {
        let (values, found) = self.items(items, |index| (index == 0).then_some(inner))?;
        if found > 1 {
            return Ok(self.fault(format_args!("must have at most 1 item, not {found}")));
        }
        Ok(values.map(|mut values| V::option(values.pop())))
    }

    pub(super) fn flags<'de, A: SeqAccess<'de>>(&self, flags: &Flags, mut items: A) -> Result<Option<V>, A::Error> {
        let mut set = vec![false; flags.flags.len()];
        let mut sound = true;
        let mut index = 0;
        loop {
            let place = JsonPointer::Item(self.place, index);
            let name = Scalar(|found: Actual<'_>| self.flag(flags, &mut set, &place, found));
            let Some(known) = items.next_element_seed(name)? else { break };
            sound &= known;
            index += 1;
        }
        let names = flags.flags.iter().zip(&set).filter(|(_, set)| **set).map(|(name, _)| name.clone());
        Ok(sound.then(|| V::flags(names.collect())))
    }

    /// Sets the flag that an item names. It is false that it did if there is a fault.
    fn flag(&self, flags: &Flags, set: &mut [bool], place: &JsonPointer<'_>, found: Actual<'_>) -> bool {
        let flag = match found {
            Actual::Text(name) => flags.flags.iter().position(|flag| self.names.matches(flag, name)),
            _ => None,
        };
        match flag {
            Some(flag) if !set[flag] => {
                set[flag] = true;
                return true;
            }
            Some(_) => self.ledger.note(place, format_args!("must not be there a second time")),
            None => {
                let known = ExpectedFlag { flags, names: self.names };
                self.ledger.note(place, format_args!("must be {known}, not {found}"));
            }
        }
        false
    }

    /// Reads all items, those without a type only to count them. There are no values if one has a fault.
    fn items<'de, 't, A: SeqAccess<'de>>(
        &self,
        mut items: A,
        type_of: impl Fn(usize) -> Option<&'t Type>,
    ) -> Result<(Option<Vec<V>>, usize), A::Error> {
        let mut values = Some(Vec::new());
        let mut index = 0;
        loop {
            let place = JsonPointer::Item(self.place, index);
            match type_of(index) {
                Some(ty) => {
                    let Some(value) = items.next_element_seed(self.part(ty, &place))? else { break };
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
        self.fault(format_args!("must have {}, not {found}", count(length, "item")));
        None
    }
}
