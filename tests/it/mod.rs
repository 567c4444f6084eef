//! System tests: the real binary, with real components, over real sockets on ports that the system picks.

mod atoll;
pub mod components;
mod contracts;
mod crash;
mod drain;
mod edges;
mod faults;
mod held;
mod hostile;
mod house;
mod inspect;
mod isolation;
mod keyvalue;
mod legacy;
mod mesh;
mod plain;
mod readme;
mod shop;
mod start;
mod swaps;
mod typed;
mod verbs;
mod verdicts;
