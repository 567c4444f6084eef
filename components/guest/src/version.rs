//! Adapters from one version of a contract to the next, so that one component offers both.
//!
//! A component that exports the old and the new version serves the callers of both while they move. The new version is
//! implemented; the old one is answered by the new one.

/// Answers the functions of an older version by those of a newer one: arguments, results and errors are converted by
/// `From`. The functions are named with the older version's types.
///
/// ```ignore
/// atoll_guest::answer_by! {
///     impl v1::Guest for Links by v2::Guest {
///         async fn resolve(slug: String) -> Result<v1::Link, v1::Error>;
///     }
/// }
/// ```
#[macro_export]
macro_rules! answer_by {
    (impl $($old:ident)::+ for $service:ident by $new:path {
        $(async fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> Result<$value:ty, $error:ty>;)+
    }) => {
        impl $($old)::+ for $service {
            $(
                async fn $name($($argument: $type),*) -> ::core::result::Result<$value, $error> {
                    match <$service as $new>::$name($(::core::convert::Into::into($argument)),*).await {
                        Ok(value) => Ok(::core::convert::Into::into(value)),
                        Err(error) => Err(::core::convert::Into::into(error)),
                    }
                }
            )+
        }
    };
}

/// Makes a record of one version from that of another: each field by `From`, and fields that only the new one has as
/// said after `;`.
///
/// ```
/// # mod v1 { pub struct Link { pub target: String } }
/// # mod v2 { #[derive(Debug, PartialEq)] pub struct Link { pub target: String, pub visits: u64 } }
/// atoll_guest::convert!(v1::Link => v2::Link { target; visits: 0 });
/// # let old = v1::Link { target: "a".to_owned() };
/// # assert_eq!(v2::Link::from(old), v2::Link { target: "a".to_owned(), visits: 0 });
/// ```
#[macro_export]
macro_rules! convert {
    ($from:ty => $($to:ident)::+ { $($field:ident),* $(,)? $(; $($new:ident: $value:expr),+ $(,)?)? }) => {
        impl ::core::convert::From<$from> for $($to)::+ {
            fn from(value: $from) -> Self {
                Self { $($field: ::core::convert::Into::into(value.$field),)* $($($new: $value,)+)? }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::memory::block_on;

    mod v1 {
        #[derive(Debug, PartialEq)]
        pub(super) struct Link {
            pub(super) target: String,
        }
        #[derive(Debug, PartialEq)]
        pub(super) enum Error {
            NotFound,
        }
        pub(super) trait Guest {
            async fn resolve(slug: String) -> Result<Link, Error>;
        }
    }

    mod v2 {
        pub(super) struct Link {
            pub(super) target: String,
            #[expect(dead_code, reason = "the older version does not have it")]
            pub(super) visits: u64,
        }
        pub(super) enum Error {
            Gone,
        }
        pub(super) trait Guest {
            async fn resolve(slug: String) -> Result<Link, Error>;
        }
    }

    struct Links;

    impl v2::Guest for Links {
        async fn resolve(slug: String) -> Result<v2::Link, v2::Error> {
            if slug == "gone" { Err(v2::Error::Gone) } else { Ok(v2::Link { target: slug, visits: 7 }) }
        }
    }

    convert!(v2::Link => v1::Link { target });

    impl From<v2::Error> for v1::Error {
        fn from(error: v2::Error) -> Self {
            match error {
                v2::Error::Gone => Self::NotFound,
            }
        }
    }

    answer_by! {
        impl v1::Guest for Links by v2::Guest {
            async fn resolve(slug: String) -> Result<v1::Link, v1::Error>;
        }
    }

    #[test]
    fn the_older_version_is_answered_by_the_newer_one() {
        let old = |slug: &str| block_on(<Links as v1::Guest>::resolve(slug.to_owned()));
        assert_eq!(old("a"), Ok(v1::Link { target: "a".to_owned() }));
        assert_eq!(old("gone"), Err(v1::Error::NotFound));
    }
}
