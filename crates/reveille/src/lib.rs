//! Wakes the CPUs of a machine.
//!
//! A machine starts with one CPU running. This crate decides which others there are, starts them through whatever the
//! machine offers, meets each by a deadline, and says of every one what became of it. It is neutral: the entry code, cache
//! maintenance and enable methods of an architecture are in `reveille-aarch64` and its siblings.
//!
//! ```text
//! topology ──▶ method ──▶ prepare ──▶ kick ──▶ rendezvous ──▶ outcome
//! Topology     EnableMethod  Platform   Bringup   ClaimWord      Outcome
//! ```
//!
//! A system gives a clock and the memory of its CPUs ([`Platform`]), keeps one [`Smp`] in a `static`, and calls, on its
//! boot CPU: [`Topology::read_fdt`], [`Smp::init_cpus`], [`Smp::prepare_cpus`], [`Smp::bring_up`]. Each new CPU calls
//! [`Arrival::stage`] as it goes and [`Arrival::online`] when it can take interrupts.
//!
//! `no_std`, no allocator, no `unsafe`. Nothing waits for ever: every wait has a [`Deadline`].

#![no_std]
#![forbid(unsafe_code)]

mod bringup;
mod cpu;
mod mask;
mod method;
mod options;
pub mod rendezvous;
mod smp;
mod sync;
mod time;
pub mod topology;
pub mod trace;

pub use bringup::{Bringup, Event, Outcome, Plan, Platform, Policy, Progress, Summary};
pub use cpu::{CpuIndex, HwId, MAX_CPUS};
pub use mask::{CpuMask, CpuMasks, SharedCpuMask};
pub use method::{CallError, EnableMethod, FirmwareState};
pub use options::SmpOptions;
pub use rendezvous::{ClaimWord, ContextId};
pub use smp::{Arrival, Smp, Stage};
pub use time::{Deadline, Instant, Timeout};
pub use topology::{Cpu, Topology};
