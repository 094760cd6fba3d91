//! What two CPUs do to each other, under every interleaving and every reordering that the memory model allows, with `loom`.
//!
//! Run by `loom_models.rs`, which is part of the ordinary tests: [`rendezvous`], [`bringup`], [`death`], [`orders`] (what a CPU's hotplug
//! thread is asked for) and [`handover`]; [`shared`] is what most of them have in common, [`machine`] the CPUs. What firmware or a
//! wake-up carries travels through relaxed atomics here, since neither orders anything.
#![cfg(loom)]

mod bringup;
mod death;
mod handover;
mod machine;
mod orders;
mod rendezvous;
mod shared;
