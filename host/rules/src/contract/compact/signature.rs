//! What two nodes compare before one calls the other: the types of a function, as a digest.

use crate::base::Digest;
use crate::contract::wit::{Case, Function, Type};

impl Function {
    /// The digest of its types: the same for two functions whose values have the same compact form and mean the same.
    /// As where components are linked, the names of fields, cases and flags count, and so does their order; the names
    /// of types, aliases and docs do not, nor does whether the function is `async`.
    pub fn signature(&self) -> Digest {
        let mut text = String::new();
        for param in &self.params {
            text.push_str(&param.name);
            text.push(':');
            describe(&param.ty, &mut text);
        }
        text.push_str("->");
        maybe(self.result.as_ref(), &mut text);
        Digest::of(text.as_bytes())
    }
}

/// Appends the structure of a type. Names are in kebab-case, so no mark below can stand in one.
fn describe(ty: &Type, out: &mut String) {
    let ty = ty.resolved();
    out.push_str(word(ty));
    match ty {
        Type::FixedList(_, length) => out.push_str(&length.to_string()),
        Type::Resource(name) => out.push_str(name),
        _ => {}
    }
    out.push('(');
    match ty {
        Type::Record(record) => record.fields.iter().for_each(|field| {
            out.push_str(&field.name);
            out.push(':');
            describe(&field.ty, out);
        }),
        Type::Variant(variant) => cases(&variant.cases, out),
        Type::Enum(kinds) => cases(&kinds.cases, out),
        Type::Flags(flags) => flags.flags.iter().for_each(|name| {
            out.push_str(name);
            out.push(',');
        }),
        Type::Result { ok, err } => {
            maybe(ok.as_deref(), out);
            maybe(err.as_deref(), out);
        }
        other => {
            other.any_part(&mut |part| {
                describe(part, out);
                false
            });
        }
    }
    out.push(')');
}

fn cases(cases: &[Case], out: &mut String) {
    for case in cases {
        out.push_str(&case.name);
        out.push(':');
        maybe(case.ty.as_ref(), out);
    }
}

fn maybe(ty: Option<&Type>, out: &mut String) {
    match ty {
        Some(ty) => describe(ty, out),
        None => out.push('_'),
    }
}

fn word(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(_) => "list",
        Type::FixedList(..) => "fixed-list",
        Type::Map(..) => "map",
        Type::Option(_) => "option",
        Type::Result { .. } => "result",
        Type::Tuple(_) => "tuple",
        Type::Record(_) => "record",
        Type::Variant(_) => "variant",
        Type::Enum(_) => "enum",
        Type::Flags(_) => "flags",
        Type::Alias(_) => "alias",
        Type::Stream(_) => "stream",
        Type::Future(_) => "future",
        Type::Resource(_) => "resource",
        Type::ErrorContext => "error-context",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing::{enumeration, flags, record, types, variant};
    use crate::contract::wit::{Alias, Param};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn of(ty: &Type) -> Digest {
        let params = vec![Param { name: "p".into(), ty: ty.clone() }];
        Function { name: "f".into(), docs: None, asynchronous: true, params, result: None }.signature()
    }

    #[test]
    fn names_that_callers_read_count_and_names_of_types_do_not() {
        let alias = Type::Alias(Arc::new(Alias { name: "other".into(), docs: None, ty: Type::U32 }));
        assert_eq!(of(&alias), of(&Type::U32));
        let one = record("one", &[("a", Type::U32), ("b", Type::U8)]);
        assert_eq!(of(&one), of(&record("two", &[("a", alias), ("b", Type::U8)])));
        let all = [
            one,
            record("r", &[("b", Type::U8), ("a", Type::U8)]),
            record("r", &[("a", Type::U8), ("b", Type::U16)]),
            variant("r", &[("a", Some(Type::U8)), ("b", None)]),
            variant("r", &[("a", None), ("b", Some(Type::U8))]),
            enumeration("r", &["a", "b"]),
            flags("r", &["a", "b"]),
            Type::Tuple(vec![Type::U8, Type::U8].into()),
            Type::FixedList(Arc::new(Type::U8), 2),
            Type::FixedList(Arc::new(Type::U8), 3),
            Type::List(Arc::new(Type::U8)),
            Type::Option(Arc::new(Type::U8)),
            Type::Result { ok: Some(Arc::new(Type::U8)), err: None },
            Type::Result { ok: None, err: Some(Arc::new(Type::U8)) },
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(of).collect();
        assert_eq!(digests.len(), all.len());
    }

    proptest! {
        /// The digest says what `Type::same` says.
        #[test]
        fn two_types_have_one_signature_if_they_are_the_same(a in types(), b in types()) {
            prop_assert_eq!(of(&a) == of(&b), a.same(&b));
            prop_assert_eq!(of(&a), of(&a.clone()));
        }
    }
}
