//! The breaker's tests. Time is fed by hand.
//!
//! `by_hand` says one thing each, `property` compares with the naive `model`, `threads` asks for exactness, `cases` is the table of what
//! other projects' breakers do, and `rig` is what they all call through.

mod by_hand;
mod cases;
mod model;
mod property;
mod rig;
mod threads;
