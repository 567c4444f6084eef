//! The direction in which a JSON value goes.

/// The direction in which a value goes between clients and a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From clients to the function, as an argument. A member that the type does not have is refused.
    Sent,
    /// From the function to clients, in an answer. A later revision of the component may answer members that clients do
    /// not know.
    Answered,
}
