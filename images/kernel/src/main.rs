//! The reference kernel. It follows the SMP boot of Linux arm64 5.14 under the names of its functions, proves that every CPU
//! works, tells the host what happened, and ends the run.
//!
//! In the order of the boot:
//!
//! - [`init`]: the boot CPU, from `start_kernel` to the init thread;
//! - [`acpi`]: what ACPI says of CPUs, if it is asked; [`cpu_ops`]: the ways to start them;
//! - [`smp`]: which CPUs there are, what they own, how they are brought up, and [`spin_table`]: those that wait in pens;
//! - [`hotplug`]: how they come and go afterwards, and [`steps`]: what each subsystem does to them;
//! - [`secondary`]: a new CPU, from its entry to its idle thread;
//! - [`proof`]: interrupts, timers and work on every CPU;
//! - [`soak`]: CPUs coming and going in thousands, if that is asked for;
//! - [`console`]: commands that are typed while it runs, likewise;
//! - [`report`]: what the host is told.

#![no_std]
#![no_main]

extern crate alloc;

mod acpi;
mod console;
mod cpu_ops;
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
mod spin_table;
mod steps;
