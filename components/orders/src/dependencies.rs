//! The services that orders calls: users, to check who orders, and products, for the stock.

use crate::bindings::exports::shop::orders::orders::{Error, FieldError};
use crate::bindings::shop::products::products::{self, Line, Product, ReservedLine};
use crate::bindings::shop::users::users::{self, User};

/// What orders needs of other services. In a component this is [`LinkedServices`]; in the native tests it is a table
/// in memory.
///
/// Any call may fail after it has done its work, because an answer can be lost. Any call may do its work after it has
/// failed, because a request can be late. Callers must be correct in all of these cases.
#[expect(async_fn_in_trait, reason = "a component has one thread: no future is sent anywhere")]
pub trait Dependencies: 'static {
    /// The services that this request calls.
    fn current() -> Self;

    /// Succeeds if there is a user with this id.
    async fn check_user(&self, id: u64) -> Result<(), users::Error>;

    /// The user with this id, if there is one.
    async fn find_user(&self, id: u64) -> Result<Option<User>, users::Error>;

    /// The products with these ids, at most 100, in the order of the ids. `None` for an id without a product.
    async fn find_products(&self, ids: Vec<u64>) -> Result<Vec<Option<Product>>, products::Error>;

    /// Takes the quantities of all lines from stock, or of no line: `reserve` of the contract.
    async fn reserve(&self, key: String, lines: Vec<Line>) -> Result<Vec<ReservedLine>, products::Error>;

    /// Returns to stock what was reserved under `key`, and makes sure that nothing can be reserved under it later.
    async fn release(&self, key: String) -> Result<(), products::Error>;
}

/// The services that the host has linked to the component's imports.
#[derive(Debug, Clone, Copy)]
pub struct LinkedServices;

impl Dependencies for LinkedServices {
    fn current() -> Self {
        Self
    }

    async fn check_user(&self, id: u64) -> Result<(), users::Error> {
        users::get(id).await.map(|_| ())
    }

    async fn find_user(&self, id: u64) -> Result<Option<User>, users::Error> {
        match users::get(id).await {
            Ok(user) => Ok(Some(user)),
            Err(users::Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find_products(&self, ids: Vec<u64>) -> Result<Vec<Option<Product>>, products::Error> {
        products::get_many(ids).await
    }

    async fn reserve(&self, key: String, lines: Vec<Line>) -> Result<Vec<ReservedLine>, products::Error> {
        products::reserve(key, lines).await
    }

    async fn release(&self, key: String) -> Result<(), products::Error> {
        products::release(key).await
    }
}

/// The error that a caller of orders gets when users refuses a call. A caller cannot act on a problem between two
/// services, so a refusal that the caller did not cause becomes `internal`.
impl From<users::Error> for Error {
    fn from(error: users::Error) -> Self {
        match error {
            users::Error::NotFound => invalid("/user", "must be the id of a user"),
            users::Error::Unavailable(text) => Self::Unavailable(format!("users: {text}")),
            other => Self::Internal(format!("users refused: {other:?}")),
        }
    }
}

/// As for users. A `conflict` is about the stock, so it is passed on to the caller.
impl From<products::Error> for Error {
    fn from(error: products::Error) -> Self {
        match error {
            products::Error::NotFound => invalid("/lines", "must name products that exist"),
            products::Error::Conflict(text) => Self::Conflict(text),
            products::Error::Unavailable(text) => Self::Unavailable(format!("products: {text}")),
            other => Self::Internal(format!("products refused: {other:?}")),
        }
    }
}

fn invalid(pointer: &str, detail: &str) -> Error {
    Error::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }])
}
