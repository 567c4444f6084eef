//! The table, and all rules together in a simulation.

mod checks;
mod faults;
mod fleet;
mod history;
mod lease_history;
mod moves;
mod placement;
mod registry;
mod sim_rng;
mod simulation;
mod swap_histories;
mod swap_world;
mod table;
mod world;
