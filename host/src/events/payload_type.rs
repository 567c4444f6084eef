//! What a topic's payloads are.

use super::unread_value::UnreadValue;
use crate::contract::json::{self, ReadError, Violation};
use crate::contract::{Names, Type};
use serde::de::IgnoredAny;
use std::fmt;

/// The type of the payloads of a topic.
#[derive(Debug, Clone)]
pub enum PayloadType {
    /// Any JSON.
    Any,
    /// JSON of a WIT type, by `docs/json-mapping.md`.
    Typed {
        /// The type.
        ty: Type,
        /// How its names are written in JSON.
        names: Names,
        /// The type's full name: `shop:orders/events#order-placed`.
        name: String,
    },
}

/// Why a payload is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadMisfit {
    /// What does not fit, each with its JSON pointer; empty if the text is no JSON.
    pub violations: Vec<Violation>,
    text: String,
}

impl PayloadType {
    /// Checks that `payload` is JSON of this type.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, payload: &str) -> Result<(), PayloadMisfit> {
        match self {
            Self::Any => match serde_json::from_str::<IgnoredAny>(payload) {
                Ok(_) => Ok(()),
                Err(error) => Err(PayloadMisfit { violations: Vec::new(), text: format!("no JSON: {error}") }),
            },
            Self::Typed { ty, names, name } => match json::read::<UnreadValue>(ty, *names, payload.as_bytes()) {
                Ok(UnreadValue) => Ok(()),
                Err(error @ ReadError::Malformed { .. }) => {
                    Err(PayloadMisfit { violations: Vec::new(), text: format!("no JSON: {error}") })
                }
                Err(ReadError::Violations(violations)) => {
                    Err(PayloadMisfit { violations, text: format!("not of its type, {name}") })
                }
            },
        }
    }

    /// The type's full name; `None` for any JSON.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Typed { name, .. } => Some(name),
        }
    }
}

impl fmt::Display for PayloadMisfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the payload is {}", self.text)?;
        for (index, Violation { pointer, detail }) in self.violations.iter().take(10).enumerate() {
            let place = if pointer.is_empty() { "the whole" } else { pointer };
            write!(f, "{} {place} {detail}", if index == 0 { ":" } else { ";" })?;
        }
        let more = self.violations.len().saturating_sub(10);
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}

impl std::error::Error for PayloadMisfit {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing;

    fn order_placed() -> PayloadType {
        let contract = testing::contract(
            "package shop:orders;
            interface events { record order-placed { id: string, total-cents: u64, note: option<string> } }
            interface mailer { use events.{order-placed}; mail: async func(event: order-placed); }
            world w { export mailer; }",
        );
        let function = contract.lookup("mail").expect("it is exported").1;
        PayloadType::Typed {
            ty: function.params[0].ty.clone(),
            names: Names::Camel,
            name: "shop:orders/events#order-placed".into(),
        }
    }

    #[test]
    fn a_payload_that_does_not_fit_is_refused_with_a_pointer_to_each_place() {
        let ty = order_placed();
        assert_eq!(ty.check(r#"{"id":"o-1","totalCents":"12"}"#), Ok(()));
        let misfit = ty.check(r#"{"id":7,"totalCents":true,"mode":1}"#).unwrap_err();
        let pointers: Vec<_> = misfit.violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["/id", "/totalCents", "/mode"]);
        let text = misfit.to_string();
        assert!(
            text.starts_with("the payload is not of its type, shop:orders/events#order-placed: /id must be"),
            "{text}"
        );
        assert!(ty.check("{").unwrap_err().to_string().starts_with("the payload is no JSON: line 1, column 1"));
    }

    #[test]
    fn a_topic_without_a_type_takes_any_json_and_nothing_else() {
        for good in ["null", "{}", "[1, 2]", r#""a""#] {
            assert_eq!(PayloadType::Any.check(good), Ok(()), "{good}");
        }
        for bad in ["", "{", "a", "1 2", "{'a': 1}"] {
            assert!(PayloadType::Any.check(bad).is_err(), "{bad}");
        }
    }
}
