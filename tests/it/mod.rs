//! System tests: the real binary with real components, over real sockets, on ports that the operating system picks.

mod admin_edge;
mod atoll;
mod breaker_verdicts;
mod cli_verbs;
pub mod components;
mod contracts;
mod counts;
mod crash;
mod drain;
mod guest_faults_at_the_gateway;
mod guest_faults_in_process;
mod http1;
mod in_process_mesh;
mod inspect;
mod isolation;
mod keyvalue;
mod mesh;
mod open_exchange;
mod plain_server;
mod readme;
mod shop;
mod start;
mod swaps;
mod typed;
mod url_services;
