//! Bring-up on a machine whose CPUs come, come late, refuse, get stuck, or never come.
#![cfg(not(loom))]

mod again;
mod faults;
mod machine;
mod policies;
mod properties;
