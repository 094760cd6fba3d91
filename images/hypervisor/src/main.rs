//! The reference hypervisor, at EL2. It follows the way up of Xen 4.15 on arm64 under the names of its functions.
//!
//! In the order of the boot:
//!
//! - [`setup`]: the boot CPU, from `start_xen` to its idle loop;
//! - [`smpboot`]: which CPUs there are, how they are brought up, and what each new one does;
//! - [`hotplug`]: the steps that each CPU goes through, at boot and when it goes or comes back later;
//! - [`virt`]: what makes a CPU able to run guests;
//! - [`domains`]: the guests that the machine's devicetree asks for, which come and go, and [`modules`], what they begin with;
//! - [`guest`]: a guest: memory, devices, and [`vcpu`]: its virtual CPUs;
//! - [`console`]: who gets what is typed, and the hypervisor's own commands;
//! - [`soak`] and [`shares`]: what the command line has it do beside, to show that it holds;
//! - [`report`]: what the host is told of the hypervisor's own way up.

#![no_std]
#![no_main]

extern crate alloc;

mod console;
mod domains;
mod guest;
mod hotplug;
mod modules;
mod names;
mod report;
mod setup;
mod shares;
mod smpboot;
mod soak;
mod vcpu;
mod virt;
