//! Whether the clients of a typed route notice that its function has changed.
//!
//! Clients of a route know JSON and HTTP, and no WIT: they send members by name, leave optional ones out, and do not
//! read members that they do not know. So more fits than between two services, whose types must be the same. What the
//! clients of `before` were promised must hold `after`:
//! - a parameter takes each JSON value that it took before, and reads it as the same value;
//! - an answer is, with additional members allowed, one that the OpenAPI document of before describes.
//!
//! `docs/evolving-a-contract.md` has the table of changes, and the reasons.

use super::type_position::TypePosition;
use super::unmet::{Unmet, others_of};
use crate::contract::http_binding::{BoundFunction, HttpBinding, HttpBindingError, ParamSource};
use crate::contract::json::{Direction, IntegerRange, is_byte, is_nullable};
use crate::contract::wit::{Case, Contract, Field, FunctionName, Record, Type, described};
use http::StatusCode;

/// The function that a route calls, in a component with another contract, bound to the same route.
///
/// # Errors
/// The component has no such function, or one that cannot be bound to the route.
pub fn rebound(before: &BoundFunction, contract: &Contract) -> Result<BoundFunction, Unmet> {
    let wanted = &before.name.interface;
    let Some((interface, functions)) = contract.export(wanted) else {
        return Err(Unmet::Interface { wanted: wanted.clone(), exported: others_of(wanted, contract) });
    };
    let (interface, function) = (interface.clone(), before.name.function.clone());
    let Some(described) = functions.functions.get(&function) else {
        return Err(Unmet::Function { interface, function });
    };
    let name = FunctionName { interface: interface.clone(), function: function.clone() };
    before.rebind(name, described).map_err(|errors| {
        let why: Vec<_> = errors.iter().map(|HttpBindingError { message, .. }| message.as_str()).collect();
        Unmet::Binding { interface, function, why: why.join(", ") }
    })
}

/// The first difference between two forms of a route's function that its clients would notice.
pub fn noticed(before: &BoundFunction, after: &BoundFunction) -> Option<Unmet> {
    let (old, new) = (&before.binding, &after.binding);
    let difference = parameters(old, new).or_else(|| success(old, new)).or_else(|| errors(old, new))?;
    let FunctionName { interface, function } = after.name.clone();
    Some(Unmet::Signature { interface, function, difference })
}

/// The first reason why JSON that was written as a value of `written` may not be read as one of `read`; `where_to` is
/// the parameter that reads it.
pub fn misread(written: &Type, read: &Type, where_to: &str) -> Option<String> {
    Comparison::new(TypePosition::param(where_to), Direction::Sent).difference(written, read)
}

fn parameters(before: &HttpBinding, after: &HttpBinding) -> Option<String> {
    let changed = before.params().find_map(|(old, source)| {
        let Some((new, now)) = after.params().find(|(new, _)| new.name == old.name) else {
            return Some(format!("it has no parameter `{}`, which clients send", old.name));
        };
        if source != now {
            return Some(format!("parameter `{}` is in {} and not in {}", old.name, part(now), part(source)));
        }
        Comparison::new(TypePosition::param(&old.name), Direction::Sent).difference(&old.ty, &new.ty)
    });
    changed.or_else(|| {
        let mut added = after.params().filter(|(new, _)| before.params().all(|(old, _)| old.name != new.name));
        let (new, _) = added.find(|(new, source)| !may_be_absent(&new.ty, source))?;
        Some(format!("it has a new parameter `{}` that clients do not send: make it an option", new.name))
    })
}

/// The part of a request, in words.
fn part(source: &ParamSource) -> &'static str {
    match source {
        ParamSource::Path(_) => "the path",
        ParamSource::Query(_) => "the query",
        ParamSource::Header(_) => "a header",
        ParamSource::Body => "the body",
    }
}

/// Whether a request may lack this parameter.
fn may_be_absent(ty: &Type, source: &ParamSource) -> bool {
    match source {
        ParamSource::Path(_) => false,
        ParamSource::Query(_) => matches!(ty.resolved(), Type::Option(_) | Type::List(_)),
        ParamSource::Header(_) | ParamSource::Body => matches!(ty.resolved(), Type::Option(_)),
    }
}

fn success(before: &HttpBinding, after: &HttpBinding) -> Option<String> {
    if before.status != after.status {
        let (old, new) = (before.status.as_u16(), after.status.as_u16());
        return Some(format!("the status of a success is {new} and not {old}"));
    }
    if before.location != after.location {
        return Some("a name in the route's `location` means something else".to_owned());
    }
    let position = TypePosition::result();
    match (before.success(), after.success()) {
        (Some(old), Some(new)) => Comparison::new(position, Direction::Answered).difference(old, new),
        (None, None) => None,
        (old, new) => Some(format!("{position} is {} and not {}", described(new), described(old))),
    }
}

/// A client decides by the class of a status that it does not know (RFC 9110, section 15), and a kind of problem that
/// it does not know it treats by its status (RFC 9457, section 3.1.1). So an error may have new cases, but a payload
/// must not appear among payloads of other types that clients read under the same status.
fn errors(before: &HttpBinding, after: &HttpBinding) -> Option<String> {
    let payload_at = |status: StatusCode| {
        let cases = before.error_cases().iter().filter(move |case| before.status_of(&case.name) == status);
        cases.filter_map(|case| case.ty.as_ref())
    };
    // What a service says about its own failures is never sent.
    let sent = after.error_cases().iter().filter(|case| !after.status_of(&case.name).is_server_error());
    let mut sent = sent.map(|case| (case, after.status_of(&case.name)));
    sent.find_map(|(case, status)| {
        let position = TypePosition::result().case(case, "error");
        let compared = Comparison::new(position, Direction::Answered);
        let known = before.error_cases().iter().find(|old| old.name == case.name);
        match (known.and_then(|old| old.ty.as_ref()), &case.ty) {
            (Some(old), Some(new)) => compared.difference(old, new),
            (Some(old), None) => Some(format!("{position} carries nothing and not {}", described(Some(old)))),
            (None, None) => None,
            (None, Some(new)) => {
                let fits = |old: &Type| compared.difference(old, new).is_none();
                let is_other = payload_at(status).next().is_some() && !payload_at(status).any(fits);
                is_other.then(|| {
                    let (ty, status) = (described(Some(new)), status.as_u16());
                    format!(
                        "{position} carries {ty}, and clients read other payloads under the status {status}: \
                         give it another status in `errors` of the route"
                    )
                })
            }
        }
    })
}

/// Compares the types at one position of a signature.
#[derive(Clone, Copy)]
struct Comparison<'a> {
    position: TypePosition<'a>,
    direction: Direction,
    /// Whether the types are parts of the type at the position, such as the items of its list.
    within: bool,
}

impl<'a> Comparison<'a> {
    fn new(position: TypePosition<'a>, direction: Direction) -> Self {
        Self { position, direction, within: false }
    }

    /// The first difference that clients notice, as a sentence.
    fn difference(self, old: &'a Type, new: &'a Type) -> Option<String> {
        use Direction::{Answered, Sent};
        let (old, new) = (old.resolved(), new.resolved());
        let part = |old: &'a Type, new: &'a Type| Self { within: true, ..self }.difference(old, new);
        let side = |old: Option<&'a Type>, new: Option<&'a Type>| match (old, new) {
            (Some(old), Some(new)) => part(old, new),
            (None, None) => None,
            (old, new) => self.sentence(old, new),
        };
        match (self.direction, old, new) {
            (_, Type::Option(a), Type::Option(b)) if is_nullable(a) == is_nullable(b) => part(a, b),
            // JSON writes an option as its value or `null`, unless `null` is a value.
            (Sent, a, Type::Option(b)) if !matches!(a, Type::Option(_)) && !is_nullable(b) => part(a, b),
            (Answered, Type::Option(a), b) if !matches!(b, Type::Option(_)) && !is_nullable(a) => part(a, b),
            // A list of bytes is a string, and any other list is an array.
            (_, Type::List(a), Type::List(b)) if is_byte(a) == is_byte(b) => part(a, b),
            (_, Type::FixedList(a, n), Type::FixedList(b, m)) if n == m && is_byte(a) == is_byte(b) => part(a, b),
            (_, Type::Map(a, x), Type::Map(b, y)) => part(a, b).or_else(|| part(x, y)),
            (_, Type::Result { ok: a, err: x }, Type::Result { ok: b, err: y }) => {
                side(a.as_deref(), b.as_deref()).or_else(|| side(x.as_deref(), y.as_deref()))
            }
            (_, Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => {
                a.iter().zip(b.iter()).find_map(|(a, b)| part(a, b))
            }
            (_, Type::Record(a), Type::Record(b)) => self.fields(a, b),
            (_, Type::Flags(a), Type::Flags(b)) => {
                self.names(&format!("flags `{}`", b.name), "flag", &mut a.flags.iter(), &mut b.flags.iter())
            }
            (Sent, Type::F32, Type::F64) | (Answered, Type::F64, Type::F32) => None,
            (_, a, b) => match (cases(a), cases(b), IntegerRange::of(a), IntegerRange::of(b)) {
                (Some((_, a)), Some((name, b)), ..) => self.cases(name, a, b),
                (.., Some(a), Some(b)) => {
                    let (narrow, wide) = if self.direction == Sent { (a, b) } else { (b, a) };
                    let fits = wide.min <= narrow.min && narrow.max <= wide.max;
                    if fits { None } else { self.sentence(Some(old), Some(new)) }
                }
                _ if a.same(b) => None,
                _ => self.sentence(Some(old), Some(new)),
            },
        }
    }

    /// `… is u64 and not u32`
    fn sentence(self, old: Option<&Type>, new: Option<&Type>) -> Option<String> {
        let verb = if self.within { "holds" } else { self.position.verb() };
        Some(format!("{} {verb} {} and not {}", self.position, described(new), described(old)))
    }

    /// A comparison of the types at a position within this one.
    fn at(self, position: TypePosition<'a>) -> Self {
        Self::new(position, self.direction)
    }

    /// Fields are found by name: their order does not count.
    fn fields(self, old: &'a Record, new: &'a Record) -> Option<String> {
        let owner = format!("{}: record `{}`", self.position.root(), new.name);
        let changed = old.fields.iter().find_map(|field| match new.fields.iter().find(|new| new.name == field.name) {
            Some(now) => self.at(self.position.field(now, &new.name)).difference(&field.ty, &now.ty),
            None => {
                let verb = if self.direction == Direction::Sent { "send" } else { "read" };
                Some(format!("{owner} has no field `{}`, which clients {verb}", field.name))
            }
        });
        changed.or_else(|| {
            let mut added = new.fields.iter().filter(|now| old.fields.iter().all(|field| field.name != now.name));
            let missed =
                |now: &&Field| self.direction == Direction::Sent && !matches!(now.ty.resolved(), Type::Option(_));
            let field = added.find(missed)?;
            Some(format!("{owner} has a new field `{}` that clients do not send: make it an option", field.name))
        })
    }

    /// Cases are found by name: their order does not count.
    fn cases(self, name: &'a str, old: &'a [Case], new: &'a [Case]) -> Option<String> {
        let names = |cases: &'a [Case]| cases.iter().map(|case| &case.name);
        let (mut before, mut now) = (names(old), names(new));
        self.names(&format!("`{name}`"), "case", &mut before, &mut now).or_else(|| {
            let mut both = old.iter().filter_map(|a| Some((a, new.iter().find(|b| b.name == a.name)?)));
            both.find_map(|(a, b)| {
                let inner = self.at(self.position.case(b, name));
                match (&a.ty, &b.ty) {
                    (Some(a), Some(b)) => inner.difference(a, b),
                    (None, None) => None,
                    (a, b) => inner.sentence(a.as_ref(), b.as_ref()),
                }
            })
        })
    }

    /// A name that clients send and `owner` lacks now, or one that they would get and do not know.
    fn names(
        self,
        owner: &str,
        noun: &str,
        old: &mut dyn Iterator<Item = &'a String>,
        new: &mut dyn Iterator<Item = &'a String>,
    ) -> Option<String> {
        let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
        let (owner, is_sent) = (format!("{}: {owner}", self.position.root()), self.direction == Direction::Sent);
        let gone = old.iter().find(|name| is_sent && !new.contains(name));
        let added = new.iter().find(|name| !is_sent && !old.contains(name));
        let gone = gone.map(|name| format!("{owner} has no {noun} `{name}`, which clients send"));
        gone.or_else(|| added.map(|name| format!("{owner} has a new {noun} `{name}`, which clients do not know")))
    }
}

/// The name and the cases of a variant or an enum: JSON writes a case without a value alike for both.
fn cases(ty: &Type) -> Option<(&str, &[Case])> {
    match ty {
        Type::Variant(variant) => Some((&variant.name, &variant.cases)),
        Type::Enum(names) => Some((&names.name, &names.cases)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
