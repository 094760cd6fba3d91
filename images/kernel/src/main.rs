//! The reference kernel. It follows the SMP boot of Linux arm64 5.14 under the names of its functions, proves that every CPU
//! works, tells the host what happened, and ends the run.
//!
//! In the order of the boot:
//!
//! - [`init`]: the boot CPU, from `start_kernel` to the init thread;
//! - [`arch`]: what differs between architectures: who describes the machine, how CPUs are started, where they enter;
//! - [`smp`]: which CPUs there are, what they own, how they are brought up;
//! - [`hotplug`]: how they come and go afterwards, and [`steps`]: what each subsystem does to them;
//! - [`secondary`]: a new CPU, from its entry to its idle thread;
//! - [`proof`]: interrupts, timers and work on every CPU;
//! - [`soak`]: CPUs coming and going in thousands, if that is asked for;
//! - [`console`]: commands that are typed while it runs, likewise;
//! - [`report`]: what the host is told.

#![no_std]
#![no_main]
#![cfg_attr(all(target_arch = "mips", feature = "faults"), feature(asm_experimental_arch))]

extern crate alloc;

mod arch;
mod console;
mod cpuinfo;
#[cfg(feature = "faults")]
mod fault;
mod hotplug;
mod init;
mod names;
mod options;
mod proof;
mod report;
mod secondary;
mod smp;
mod soak;
mod steps;
