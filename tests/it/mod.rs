//! System tests: the real binary, with real components, over real sockets on ports that the system picks.

pub mod components;
mod faults;
mod house;
