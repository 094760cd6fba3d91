//! The server as a provider uses it, on a board that is made up. Tests are named after the rows of the contract that they show.
//!
//! Rows 5, 7, 8, 23, 24 and 29 are about registers, exception levels and caches, which a server does not have; rows 15 and 27 are
//! models, in `tests/loom.rs`.

mod account;
mod affinity;
mod board;
mod calls;
mod cpu_off;
mod cpu_on;
mod random;
mod suspend;
