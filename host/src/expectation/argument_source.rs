//! Arguments that are made up for a function: bounded, and the same for the same seed.

use crate::contract::{Integer, Type, Value};

/// The most items of a list or a map.
const ITEMS: u64 = 3;
/// The most characters of a text.
const CHARACTERS: u64 = 12;
/// Characters that code often gets wrong: empty, quoted, escaped, of several bytes, of two UTF-16 units, composed.
const CHARACTERS_OF_INTEREST: [char; 16] =
    ['a', 'Z', '0', ' ', '\n', '\0', '"', '\\', '/', '%', '<', 'é', 'ß', '漢', '😀', '\u{301}'];

/// Makes values of types. Half of all numbers are ones that code often gets wrong: the bounds and what is near zero.
#[derive(Debug, Clone)]
pub struct ArgumentSource(u64);

impl ArgumentSource {
    /// A source that makes the same values for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Below `end`, which is above 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of `items`, which are not empty.
    fn one<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = self.below(items.len() as u64);
        &items[usize::try_from(index).expect("it is an index")]
    }

    /// A value of `ty`; `None` if it holds a type that has no JSON.
    pub fn value<V: Value>(&mut self, ty: &Type) -> Option<V> {
        use Type as T;
        let value = match ty.resolved() {
            T::Bool => V::bool(self.below(2) == 0),
            T::S8 => self.whole(Integer::S8, i8::MIN.into(), i8::MAX.into()),
            T::U8 => self.whole(Integer::U8, 0, u8::MAX.into()),
            T::S16 => self.whole(Integer::S16, i16::MIN.into(), i16::MAX.into()),
            T::U16 => self.whole(Integer::U16, 0, u16::MAX.into()),
            T::S32 => self.whole(Integer::S32, i32::MIN.into(), i32::MAX.into()),
            T::U32 => self.whole(Integer::U32, 0, u32::MAX.into()),
            T::S64 => self.whole(Integer::S64, i64::MIN.into(), i64::MAX.into()),
            T::U64 => self.whole(Integer::U64, 0, u64::MAX.into()),
            T::F32 => V::f32(self.short_float()),
            T::F64 => V::f64(self.float()),
            T::Char => V::char(*self.one(&CHARACTERS_OF_INTEREST)),
            T::String => V::string(self.text()),
            T::List(item) => V::list(self.several(ITEMS, item)?),
            T::FixedList(item, length) => V::fixed_list((0..*length).map(|_| self.value(item)).collect::<Option<_>>()?),
            T::Map(key, value) => V::map(self.entries(key, value)?),
            T::Option(inner) => V::option(if self.below(3) == 0 { None } else { Some(self.value(inner)?) }),
            T::Result { ok, err } => V::result(match self.below(2) {
                0 => Ok(self.payload(ok.as_deref())?),
                _ => Err(self.payload(err.as_deref())?),
            }),
            T::Tuple(types) => V::tuple(types.iter().map(|ty| self.value(ty)).collect::<Option<_>>()?),
            T::Record(record) => {
                let field = |field: &crate::contract::Field| Some((field.name.clone(), self.value(&field.ty)?));
                V::record(record.fields.iter().map(field).collect::<Option<_>>()?)
            }
            T::Variant(variant) => {
                let case = self.one(&variant.cases);
                V::variant(case.name.clone(), self.payload(case.ty.as_ref())?)
            }
            T::Enum(cases) => V::enumeration(self.one(&cases.cases).name.clone()),
            T::Flags(flags) => V::flags(flags.flags.iter().filter(|_| self.below(2) == 0).cloned().collect()),
            T::Alias(_) | T::Stream(_) | T::Future(_) | T::Resource(_) | T::ErrorContext => return None,
        };
        Some(value)
    }

    fn payload<V: Value>(&mut self, ty: Option<&Type>) -> Option<Option<V>> {
        match ty {
            Some(ty) => self.value(ty).map(Some),
            None => Some(None),
        }
    }

    fn several<V: Value>(&mut self, most: u64, item: &Type) -> Option<Vec<V>> {
        (0..self.below(most + 1)).map(|_| self.value(item)).collect()
    }

    /// Entries with different keys, told apart by their place: two equal keys would be no map.
    fn entries<V: Value>(&mut self, key: &Type, value: &Type) -> Option<Vec<(V, V)>> {
        let mut entries: Vec<(V, V)> = Vec::new();
        for _ in 0..self.below(ITEMS + 1) {
            let new: V = self.value(key)?;
            let same = |old: &V| {
                (old.as_bool(), old.as_integer(), old.as_char(), old.as_string())
                    == (new.as_bool(), new.as_integer(), new.as_char(), new.as_string())
            };
            if !entries.iter().any(|(old, _)| same(old)) {
                entries.push((new, self.value(value)?));
            }
        }
        Some(entries)
    }

    fn whole<V: Value>(&mut self, kind: Integer, min: i128, max: i128) -> V {
        let bits = i128::from(self.next());
        let value = match self.below(8) {
            0 => min,
            1 => max,
            2 | 3 => bits.rem_euclid(17).clamp(min, max),
            4 => (bits.rem_euclid(17) - 8).clamp(min, max),
            _ => min + bits.rem_euclid(max - min + 1),
        };
        V::integer(kind, value)
    }

    /// Finite: the infinities and NaN are what a caller sends by mistake, and no type excludes.
    fn float(&mut self) -> f64 {
        let whole = self.below(2_000_001) as f64 - 1_000_000.0;
        *self.one(&[0.0, -0.0, 1.0, -1.0, 0.1, 1e-30, -1e30, 3.4e38, whole, whole / 1024.0])
    }

    #[expect(clippy::cast_possible_truncation, reason = "the nearest short number is as good as any")]
    fn short_float(&mut self) -> f32 {
        self.float() as f32
    }

    fn text(&mut self) -> String {
        (0..self.below(CHARACTERS + 1)).map(|_| *self.one(&CHARACTERS_OF_INTEREST)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Names;
    use crate::contract::json;
    use crate::contract::testing::{SampleValue, types};
    use proptest::prelude::*;

    proptest! {
        /// What is written is read again as the same value: so it fits its type.
        #[test]
        fn every_value_fits_its_type(ty in types(), seed: u64) {
            let value: SampleValue = ArgumentSource::new(seed).value(&ty).expect("the types of this test have JSON");
            let mut text = Vec::new();
            json::write(&ty, Names::Snake, &value, &mut text).unwrap();
            let read: SampleValue = json::read(&ty, Names::Snake, &text).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(ArgumentSource::new(seed).value::<SampleValue>(&ty), Some(value));
        }
    }

    #[test]
    fn bounds_and_small_numbers_come_soon() {
        let mut source = ArgumentSource::new(1);
        let made: Vec<_> = (0..100).filter_map(|_| source.value::<SampleValue>(&Type::U64)?.as_integer()).collect();
        for wanted in [0, u64::MAX.into(), 1] {
            assert!(made.contains(&wanted), "{wanted}: {made:?}");
        }
    }
}
