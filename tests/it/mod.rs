//! System tests: the real binary, with real components, over real sockets on ports that the system picks.

mod atoll;
pub mod components;
mod crash;
mod drain;
mod edges;
mod faults;
mod held;
mod hostile;
mod house;
mod keyvalue;
mod legacy;
mod plain;
mod readme;
mod shop;
mod swaps;
mod verbs;
mod verdicts;
