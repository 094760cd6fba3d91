//! A deterministic machine for the library [`reveille`](https://docs.rs/reveille): simulated CPUs on a virtual clock, which
//! misbehave as they are told.
//!
//! The library runs as it is. Every CPU is a thread of control of its own; whenever one calls out of the library (to read the
//! clock, to wait, to ask firmware, to run a step) the machine decides, from a seed, how much time passes and who runs next.
//! So a seed is an interleaving: the same seed runs the same again, another tries another. After every turn and at the end the
//! machine checks what must hold whatever happens (see [`Machine::run`]), and panics with the seed if it does not.
//!
//! # Testing a step of one's own
//!
#![cfg_attr(feature = "machine", doc = "```")]
#![cfg_attr(not(feature = "machine"), doc = "```ignore")]
//! use std::sync::Mutex;
//!
//! use reveille::hotplug::{Section, Step, StepError};
//! use reveille::{CpuIndex, Outcome};
//! use reveille_sim::Machine;
//!
//! for seed in 0..100 {
//!     // The step under test: it gives every CPU one of three timers.
//!     let timers: Mutex<[Option<CpuIndex>; 3]> = Mutex::new([None; 3]);
//!     let take = |cpu| {
//!         let mut timers = timers.lock().unwrap();
//!         *timers.iter_mut().find(|timer| timer.is_none()).ok_or(StepError(-12))? = Some(cpu);
//!         Ok(())
//!     };
//!     let give_back = |cpu| {
//!         timers.lock().unwrap().iter_mut().filter(|timer| **timer == Some(cpu)).for_each(|timer| *timer = None);
//!         Ok(())
//!     };
//!     let step = Step::new(Section::Prepare, 10, "timer:take").startup(&take).teardown(&give_back);
//!
//!     let fault = "cpu2:late:3s".parse().unwrap();
//!     let machine = Machine::builder(4).seed(seed).step(&step).fault(fault).build();
//!     machine.run(|control| {
//!         let boot = control.boot();
//!         // The timers are enough for three, the boot CPU among them; the last two do not both come up.
//!         assert_eq!(boot.outcomes[1], Outcome::Online);
//!         assert!(boot.online() <= 3);
//!         // A CPU that goes down gives its timer back.
//!         control.cpu_down(1).unwrap();
//!         assert!(timers.lock().unwrap().iter().all(|&timer| timer != CpuIndex::new(1)));
//!     });
//! }
//! ```
//!
//! A step that waits, or that wants to be interrupted in the middle, calls `pause`. What a run has done comes out of
//! `Run::records`, in the form in which a kernel's console has it.
//!
//! CPUs are started by firmware after PSCI, or wait at mailboxes for an enable method that the test brings along ([`Builder::parked`]).
//!
//! Modules: `machine` (what users touch), `control` (what a scenario does), `world` (state and time), `fiber` (threads of
//! control), `firmware` (PSCI), `parked` (ACPI's parking protocol), `topology`, `processor` (a CPU's life), `steps` (steps, wrapped),
//! `check` (what must hold), `records`, [`fault`].

#![cfg_attr(not(feature = "machine"), no_std)]

pub mod fault;

#[cfg(feature = "machine")]
mod check;
#[cfg(feature = "machine")]
mod control;
#[cfg(feature = "machine")]
mod fiber;
#[cfg(feature = "machine")]
mod firmware;
#[cfg(feature = "machine")]
mod machine;
#[cfg(feature = "machine")]
mod parked;
#[cfg(feature = "machine")]
mod processor;
#[cfg(feature = "machine")]
mod records;
#[cfg(feature = "machine")]
mod steps;
#[cfg(feature = "machine")]
mod topology;
#[cfg(feature = "machine")]
mod world;

#[cfg(feature = "machine")]
pub use control::{Boot, Control, Request};
pub use fault::{Fault, FaultKind, StepName};
#[cfg(feature = "machine")]
pub use machine::{Builder, Machine, Run, each_seed};
#[cfg(feature = "machine")]
pub use parked::{Hardware, ParkedFault};
#[cfg(feature = "machine")]
pub use world::{Parking, pause};
