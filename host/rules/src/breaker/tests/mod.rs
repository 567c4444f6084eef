//! The breaker's tests. Each test sets the time itself.
//!
//! `behaviour` has one test for each behaviour. `property` compares the breaker with the naive `model`. `threads`
//! checks that counts are exact under many threads. `cases` is the table of what other projects' breakers do. All of
//! them drive the breaker through `rig`.

mod behaviour;
mod cases;
mod model;
mod property;
mod rig;
mod threads;
