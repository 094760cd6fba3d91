//! Wakes arm64 CPUs for the crate [`reveille`].

#![no_std]

pub mod psci;
