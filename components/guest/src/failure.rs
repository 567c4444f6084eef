//! Errors: what every contract's error has in common, the answer to arguments that are not valid, and the macro that
//! turns both into the error of a contract.

use crate::transactions::Error;

/// One argument or field that is not valid: `field-error` of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) to it. For a query parameter, `/` and its name.
    pub pointer: String,
    /// What is wrong, as the end of a sentence about the field: `must not be empty`.
    pub detail: String,
}

impl FieldError {
    /// An error of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why there is no answer: the part of the contracts' errors that is the same for every service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Arguments are not valid. All of them are named.
    Invalid(Vec<FieldError>),
    /// The store, a host outside or another service cannot answer now, or too many requests write the same keys.
    /// Trying again may help.
    Unavailable(String),
    /// The stored data is not what this service stores, or it exceeds the host's limits. This is an error of the
    /// service.
    Internal(String),
}

impl Failure {
    /// One argument is not valid.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, detail)])
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(errors) => {
                let errors: Vec<_> = errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
                write!(formatter, "invalid: {}", errors.join(", "))
            }
            Self::Unavailable(text) | Self::Internal(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Conflict(key) => Self::Unavailable(format!("{key} changes too often")),
            Error::TooLarge(text) => Self::Internal(format!("over a limit of the store: {text}")),
            Error::Refused(text) => Self::Internal(format!("an event is refused: {text}")),
        }
    }
}

/// Collects every argument that is not valid, so that one answer names all of them.
///
/// ```
/// # use atoll_guest::{Failure, Validation};
/// # fn accept(name: &str, age: u32) -> Result<(), Failure> {
/// Validation::new()
///     .check(!name.trim().is_empty(), "/name", "must not be empty")
///     .check(age < 150, "/age", "must be below 150")
///     .finish()
/// # }
/// # assert_eq!(accept("Ada", 36), Ok(()));
/// # assert!(matches!(accept(" ", 200), Err(Failure::Invalid(errors)) if errors.len() == 2));
/// ```
#[derive(Debug, Default)]
#[must_use = "`finish` gives the result"]
pub struct Validation(Vec<FieldError>);

impl Validation {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the field at `pointer` is not valid unless `good`.
    pub fn check(mut self, good: bool, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        if !good {
            self.0.push(FieldError::new(pointer, detail));
        }
        self
    }

    /// Notes what another check has found.
    pub fn and(mut self, found: impl IntoIterator<Item = FieldError>) -> Self {
        self.0.extend(found);
        self
    }

    /// `Ok` if every check was good.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with all that is wrong.
    pub fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::Invalid(self.0)) }
    }
}

/// Makes the `error` of a contract from a [`Failure`], and from the errors of the services that this one calls, so that
/// `?` is enough everywhere.
///
/// The braces name the cases that the contract has: `unavailable(string)` is needed, since the platform tells a caller
/// by it that no answer came; `invalid(list<field-error>)`, with the type of the field errors, and `internal(string)`
/// may be missing. What has no case of its own becomes `unavailable`. A refusal by a neighbour that is not
/// `unavailable` becomes `internal`: the caller of this service did not cause it, and cannot mend it.
///
/// ```ignore
/// atoll_guest::errors!(Error { unavailable, internal, invalid: FieldError }, from users::Error, products::Error);
/// ```
#[macro_export]
macro_rules! errors {
    ($error:ident { $($case:ident $(: $field:ident)?),+ $(,)? }
     $(, from $($neighbour:ident :: $its:ident),+ $(,)?)?) => {
        impl ::core::convert::From<$crate::Failure> for $error {
            fn from(failure: $crate::Failure) -> Self {
                $($crate::errors!(@case failure $case $($field)?);)+
                Self::Unavailable(failure.to_string())
            }
        }
        $($(
            impl ::core::convert::From<$neighbour::$its> for $error {
                fn from(error: $neighbour::$its) -> Self {
                    let name = ::core::stringify!($neighbour);
                    match error {
                        $neighbour::$its::Unavailable(text) => {
                            $crate::Failure::Unavailable(::std::format!("{name}: {text}"))
                        }
                        other => $crate::Failure::Internal(::std::format!("{name} refused: {other:?}")),
                    }
                    .into()
                }
            }
        )+)?
    };
    (@case $failure:ident unavailable) => {
        let $failure = match $failure {
            $crate::Failure::Unavailable(text) => return Self::Unavailable(text),
            other => other,
        };
    };
    (@case $failure:ident internal) => {
        let $failure = match $failure {
            $crate::Failure::Internal(text) => return Self::Internal(text),
            other => other,
        };
    };
    (@case $failure:ident invalid $field:ident) => {
        let $failure = match $failure {
            $crate::Failure::Invalid(errors) => {
                let field = |error: $crate::FieldError| $field { pointer: error.pointer, detail: error.detail };
                return Self::Invalid(errors.into_iter().map(field).collect());
            }
            other => other,
        };
    };
}

/// Makes the problem document of an HTTP face from the error of a service that it calls. The braces name all the cases
/// of that error: `not_found`, `conflict`, `invalid`, `unauthorized`, `forbidden`, `unavailable`, `internal`. One that
/// is forgotten does not compile. An error with other cases gets a `From` by hand.
///
/// ```ignore
/// atoll_guest::problems!(links::Error { not_found, invalid, unavailable });
/// ```
#[macro_export]
macro_rules! problems {
    ($neighbour:ident :: $error:ident { $($case:ident),+ $(,)? }) => {
        impl ::core::convert::From<$neighbour::$error> for $crate::http::Problem {
            fn from(error: $neighbour::$error) -> Self {
                $crate::problems!(@match error $neighbour::$error [] $($case)+)
            }
        }
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*]) => {
        match $error { $($arms)* }
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] not_found $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::NotFound => Self::not_found("there is no such thing"),
        ] $($rest)*)
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] conflict $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::Conflict(text) => Self::conflict(text),
        ] $($rest)*)
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] invalid $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::Invalid(errors) => {
                Self::invalid(
                    errors.into_iter().map(|error| $crate::FieldError::new(error.pointer, error.detail)).collect(),
                )
            }
        ] $($rest)*)
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] unauthorized $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::Unauthorized => Self::unauthorized(),
        ] $($rest)*)
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] forbidden $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::Forbidden => Self::forbidden(),
        ] $($rest)*)
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] unavailable $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::Unavailable(text) => Self::unavailable(&text),
        ] $($rest)*)
    };
    (@match $error:ident $neighbour:ident :: $its:ident [$($arms:tt)*] internal $($rest:ident)*) => {
        $crate::problems!(@match $error $neighbour::$its [$($arms)*
            $neighbour::$its::Internal(text) => Self::internal(&text),
        ] $($rest)*)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    mod users {
        #[derive(Debug)]
        pub(super) enum Error {
            NotFound,
            Unavailable(String),
        }
    }

    /// What bindings make of the `field-error` of a contract.
    #[derive(Debug, PartialEq)]
    struct ItsField {
        pointer: String,
        detail: String,
    }

    #[derive(Debug, PartialEq)]
    enum Full {
        Invalid(Vec<ItsField>),
        Unavailable(String),
        Internal(String),
    }
    errors!(Full { invalid: ItsField, unavailable, internal }, from users::Error);

    #[derive(Debug, PartialEq)]
    enum Least {
        Unavailable(String),
    }
    errors!(Least { unavailable }, from users::Error);

    #[test]
    fn a_failure_becomes_the_case_of_the_contract_or_unavailable() {
        let field = ItsField { pointer: "/a".to_owned(), detail: "is wrong".to_owned() };
        assert_eq!(Full::from(Failure::invalid("/a", "is wrong")), Full::Invalid(vec![field]));
        assert_eq!(Full::from(Failure::Internal("x".to_owned())), Full::Internal("x".to_owned()));
        assert_eq!(Full::from(Failure::Unavailable("x".to_owned())), Full::Unavailable("x".to_owned()));
        let text = "invalid: /a is wrong".to_owned();
        assert_eq!(Least::from(Failure::invalid("/a", "is wrong")), Least::Unavailable(text));
    }

    #[test]
    fn a_neighbour_that_does_not_answer_is_unavailable_and_one_that_refuses_is_an_error_of_this_service() {
        let gone = || users::Error::Unavailable("timeout".to_owned());
        assert_eq!(Full::from(gone()), Full::Unavailable("users: timeout".to_owned()));
        assert_eq!(Full::from(users::Error::NotFound), Full::Internal("users refused: NotFound".to_owned()));
        assert_eq!(Least::from(gone()), Least::Unavailable("users: timeout".to_owned()));
    }

    #[test]
    fn a_validation_names_all_that_is_wrong() {
        let found = Validation::new()
            .check(true, "/a", "is never said")
            .check(false, "/b", "is wrong")
            .and([FieldError::new("/c", "too")])
            .finish();
        let expected = vec![FieldError::new("/b", "is wrong"), FieldError::new("/c", "too")];
        assert_eq!(found, Err(Failure::Invalid(expected)));
    }
}
