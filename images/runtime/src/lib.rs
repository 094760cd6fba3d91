//! What every image stands on, whatever its role: the processor, memory, per-CPU areas, threads, interrupts between CPUs,
//! the console and the trace.
//!
//! The instruction set is chosen in [`arch`] and nowhere else. Which CPUs come up, and when, is decided by the images, with
//! the crate `reveille`; a CPU that has come up announces itself here with [`mod@per_cpu`] and [`thread`].

#![no_std]
#![cfg_attr(target_arch = "mips", feature(asm_experimental_arch))]

extern crate alloc;

pub mod acpi;
pub mod arch;
pub mod clock;
pub mod console;
pub mod cpus;
pub mod devicetree;
pub mod hotplug;
pub mod interrupt_controller;
pub mod ipi;
mod layout;
pub mod lock;
mod masked;
pub mod memory;
mod overflow_stack;
mod panic;
pub mod per_cpu;
pub mod plan;
pub mod report;
pub mod steps;
pub mod thread;
pub mod trace;
pub mod watchdog;
pub mod work;
