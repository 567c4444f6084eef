//! The check of a binding against the type of the parameter that it fills.

use super::binding::{Binding, BindingPath, BindingRoot};
use crate::contract::json::{self, ReadError};
use crate::contract::{Names, Type, Value, misread};
use std::sync::Arc;

/// The types of what a saga knows when a call is made.
pub trait TypeScope {
    /// The type of a root; `Err`: why it cannot be used here.
    fn ty(&self, root: &BindingRoot) -> Result<Type, String>;
}

/// Why a binding does not fill its parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MisboundValue(pub String);

/// Checks that every value of `binding` is one of `ty`. `target` is what it fills, for messages: `lines`. `V` is the
/// kind of values into which literals are read.
///
/// # Errors
/// The first difference, with its place.
pub fn check_binding<V: Value>(
    binding: &Binding,
    ty: &Type,
    target: &str,
    scope: &impl TypeScope,
) -> Result<(), MisboundValue> {
    match binding {
        Binding::Path(path) => {
            let found = type_of(path, scope)?;
            misread(&found, ty, target)
                .map_or(Ok(()), |difference| Err(MisboundValue(format!("`{path}`: {difference}"))))
        }
        Binding::Literal(json) => literal::<V>(json, ty, target),
        Binding::Record(fields) => {
            let Type::Record(record) = inner(ty) else {
                return Err(MisboundValue(format!("`{target}` is no record, and a table is written for it")));
            };
            for (name, field) in fields {
                let place = format!("{target}.{name}");
                let Some(expected) = record.fields.iter().find(|field| field.name == *name) else {
                    let known: Vec<_> = record.fields.iter().map(|field| format!("`{}`", field.name)).collect();
                    let text = format!("`{target}` has no field `{name}`: its fields are {}", known.join(", "));
                    return Err(MisboundValue(text));
                };
                check_binding::<V>(field, &expected.ty, &place, scope)?;
            }
            let missing = |name: &str| fields.iter().all(|(own, _)| own != name);
            let optional = |ty: &Type| matches!(ty.resolved(), Type::Option(_));
            match record.fields.iter().find(|field| missing(&field.name) && !optional(&field.ty)) {
                Some(field) => Err(MisboundValue(format!("`{target}` lacks its field `{}`", field.name))),
                None => Ok(()),
            }
        }
        Binding::List(items) => {
            let Type::List(item_type) = inner(ty) else {
                return Err(MisboundValue(format!("`{target}` is no list, and a list is written for it")));
            };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(at, item)| check_binding::<V>(item, item_type, &format!("{target}[{at}]"), scope))
        }
    }
}

fn literal<V: Value>(json: &str, ty: &Type, target: &str) -> Result<(), MisboundValue> {
    let misfit = match json::read::<V>(ty, Names::Kebab, json.as_bytes()) {
        Ok(_) => return Ok(()),
        Err(ReadError::Violations(violations)) => {
            violations.first().map(|first| format!("{} {}", first.pointer, first.detail))
        }
        Err(error @ ReadError::Malformed { .. }) => Some(error.to_string()),
    };
    Err(MisboundValue(format!("`{target}` cannot be {json}: it{}", misfit.unwrap_or_default())))
}

/// The type behind aliases and options: a table or a list is written for the value itself.
fn inner(ty: &Type) -> &Type {
    match ty.resolved() {
        Type::Option(inner) => inner.resolved(),
        other => other,
    }
}

/// The type at the end of a path.
fn type_of(path: &BindingPath, scope: &impl TypeScope) -> Result<Type, MisboundValue> {
    let root = scope.ty(&path.root).map_err(|why| MisboundValue(format!("`{path}`: {why}")))?;
    field_of(root, &path.fields, &path.to_string())
}

/// The type of a field of `ty`, which is written as `path`. A path through an option ends in an option.
pub(super) fn field_of(mut ty: Type, fields: &[String], path: &str) -> Result<Type, MisboundValue> {
    let mut optional = false;
    for field in fields {
        let resolved = match ty.resolved() {
            Type::Option(inner) => {
                optional = true;
                inner.resolved().clone()
            }
            other => other.clone(),
        };
        let Type::Record(record) = &resolved else {
            let text = format!("`{path}`: there is no field `{field}`, since what is before it is no record");
            return Err(MisboundValue(text));
        };
        let Some(found) = record.fields.iter().find(|own| own.name == *field) else {
            let known: Vec<_> = record.fields.iter().map(|field| format!("`{}`", field.name)).collect();
            let text = format!("`{path}`: there is no field `{field}` among {}", known.join(", "));
            return Err(MisboundValue(text));
        };
        ty = found.ty.clone();
    }
    let wrap = optional && !matches!(ty.resolved(), Type::Option(_));
    Ok(if wrap { Type::Option(Arc::new(ty)) } else { ty })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing::{SampleValue, record};

    struct KnownValues;

    impl TypeScope for KnownValues {
        fn ty(&self, root: &BindingRoot) -> Result<Type, String> {
            let price = record("price", &[("amount", Type::U32), ("unit", Type::String)]);
            let lines = Type::List(Arc::new(price.clone()));
            let maybe = Type::Option(Arc::new(price.clone()));
            match root {
                BindingRoot::Input => Ok(record("input", &[("lines", lines), ("maybe", maybe), ("price", price)])),
                BindingRoot::Key => Ok(Type::String),
                BindingRoot::Step(step) => Err(format!("there is no step `{step}` before this one")),
            }
        }
    }

    fn check(binding: Binding, ty: &Type) -> Result<(), String> {
        check_binding::<SampleValue>(&binding, ty, "p", &KnownValues).map_err(|misbound| misbound.to_string())
    }

    fn path(text: &str) -> Binding {
        Binding::Path(BindingPath::parse(text).unwrap())
    }

    #[test]
    fn a_path_fits_a_parameter_that_reads_its_values() {
        let optional = Type::Option(Arc::new(Type::U32));
        for (text, ty) in [
            ("$input.price.amount", Type::U32),
            ("$input.price.amount", optional.clone()),
            ("$input.maybe.amount", optional),
            ("$saga.key", Type::String),
            ("$input.lines", Type::List(Arc::new(record("other", &[("amount", Type::U32), ("unit", Type::String)])))),
        ] {
            assert_eq!(check(path(text), &ty), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_path_that_does_not_fit_is_told_with_its_place() {
        for (text, ty, expected) in [
            ("$input.price.unit", Type::U32, "`$input.price.unit`: "),
            ("$input.maybe.amount", Type::U32, "`$input.maybe.amount`: "),
            ("$input.prize", Type::U32, "no field `prize` among `lines`, `maybe`, `price`"),
            ("$input.lines.amount", Type::U32, "no field `amount`, since what is before it is no record"),
            ("$charge.id", Type::U32, "there is no step `charge` before this one"),
        ] {
            let error = check(path(text), &ty).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn tables_lists_and_literals_are_checked_part_by_part() {
        let price = record("price", &[("amount", Type::U32), ("note", Type::Option(Arc::new(Type::String)))]);
        let literal = |json: &str| Binding::Literal(json.to_owned());
        let table = |fields: &[(&str, Binding)]| {
            Binding::Record(fields.iter().map(|(name, field)| ((*name).to_owned(), field.clone())).collect())
        };
        let good = table(&[("amount", path("$input.price.amount"))]);
        let list = Type::List(Arc::new(price.clone()));
        assert_eq!(check(good.clone(), &price), Ok(()));
        assert_eq!(check(Binding::List(vec![good.clone(), good.clone()]), &list), Ok(()));
        assert_eq!(check(literal("7"), &Type::U32), Ok(()));
        for (binding, ty, expected) in [
            (table(&[("note", literal("\"x\""))]), &price, "`p` lacks its field `amount`"),
            (table(&[("amount", literal("-1"))]), &price, "`p.amount` cannot be -1"),
            (table(&[("amout", literal("1"))]), &price, "`p` has no field `amout`"),
            (Binding::List(vec![good.clone(), literal("1")]), &list, "`p[1]` cannot be 1"),
            (good.clone(), &Type::U32, "`p` is no record"),
            (Binding::List(vec![]), &price, "`p` is no list"),
        ] {
            let error = check(binding, ty).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
