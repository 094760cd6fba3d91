//! A boot loader in the manner of LK 2021.06: every CPU enters at the same start and runs threads, the payload is checked on all of
//! them, and then they are left to it.
//!
//! In the order of the boot:
//!
//! - `start.S`: every CPU's first instructions, and [`start`], which tells the boot CPU from the others;
//! - [`lk_main`]: the boot CPU, up to its threads (LK's `top/main.c`), and [`cpus`]: the CPUs, how they are started (`arch_init`);
//! - [`secondary`]: every other CPU, from its entry to its own thread;
//! - [`layout`]: whose memory is what; [`payload`]: what is to be started; [`check`]: whether it is what it should be;
//! - [`hand_over`]: the CPUs leave, to where the payload can take them; [`next_devicetree`]: what it is told;
//! - [`report`]: what the host is told;
//! - `fault`, in test images: CPUs that cannot leave.

#![no_std]
#![no_main]

extern crate alloc;

mod check;
mod cpus;
#[cfg(feature = "faults")]
mod fault;
mod hand_over;
mod layout;
mod lk_main;
mod names;
mod next_devicetree;
mod options;
mod payload;
mod report;
mod secondary;
mod start;
