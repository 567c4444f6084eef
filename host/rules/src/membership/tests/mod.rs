//! The table, and all rules together in a simulation.

mod checks;
mod faults;
mod fleet;
mod moves;
mod placement;
mod registry;
mod sim_rng;
mod simulation;
mod table;
mod world;
