//! What a provider of PSCI (Arm DEN0022) decides: firmware for the CPUs of a machine, a hypervisor for virtual CPUs.
//!
//! A [`Server`] keeps what state each CPU is in ([`CpuState`]) and what it is to enter with ([`Entry`]). It takes calls
//! ([`Server::handle`]), decides, has its [`Platform`] do what hardware does, and says what becomes of the call ([`Answer`]). What is
//! offered, from PSCI 0.1 to 1.1, is the platform's [`Policy`].
//!
//! All CPUs may call at once: there is no lock, and no call waits for another. The state of a CPU is one word, which changes by
//! compare-exchange; models explore all interleavings of CPU_ON, CPU_OFF and AFFINITY_INFO. A call that is refused changes nothing.
//!
//! ```
//! use psci_server::{Answer, CpuState, Entry, Failed, Platform, Server};
//!
//! /// Two CPUs, which sleep until somebody interrupts them.
//! struct Board;
//!
//! impl Platform for Board {
//!     fn cpu_ids(&self) -> &[u64] {
//!         &[0x000, 0x100]
//!     }
//!
//!     fn can_enter(&self, address: u64) -> bool {
//!         (0x4000_0000..0x8000_0000).contains(&address)
//!     }
//!
//!     fn power_on(&self, cpu: usize) -> Result<(), Failed> {
//!         // Send an interrupt to `cpu`, which sleeps in a loop around `SERVER.enter(cpu)`.
//!         Ok(())
//!     }
//! }
//!
//! static SERVER: Server<Board, 2> = Server::new(Board);
//!
//! // The machine started with CPU 0. It calls CPU_ON(0x100, 0x4020_0000, 7), as X0 to X3 say.
//! SERVER.boot(0);
//! assert_eq!(SERVER.handle(0, [0xc400_0003, 0x100, 0x4020_0000, 7]), Answer::Return(0));
//! assert_eq!(SERVER.state(1), Some(CpuState::OnPending));
//!
//! // CPU 1 wakes up and asks what to enter with, which it is told once.
//! assert_eq!(SERVER.enter(1), Some(Entry { address: 0x4020_0000, context_id: 7 }));
//! assert_eq!(SERVER.enter(1), None);
//!
//! // CPU 1 calls CPU_OFF, and goes back to that loop.
//! assert_eq!(SERVER.handle(1, [0x8400_0002, 0, 0, 0]), Answer::Off);
//! assert_eq!(SERVER.state(1), Some(CpuState::Off));
//! ```
//!
//! # What is the provider's
//!
//! The registers: a call keeps X18 to X30, and under SMCCC 1.1 X4 to X17 too; an [`Entry`] is entered with the context id in X0, at the
//! highest non-secure exception level of the caller's world, interrupts masked, MMU and data cache off. The caches: the server's words
//! are ordinary memory, so a CPU calls it with its MMU and caches on, and one that leaves the coherency domain cleans its caches after
//! [`Answer::Off`]. Function ids that are neither PSCI's nor SMCCC's own: the server answers NOT_SUPPORTED, so look at them before.
//!
//! # What the specification leaves open
//!
//! - CPU_ON judges the target's id first, then the address, then the target's state. Callers run in AArch64: an address that is no
//!   multiple of 4 is INVALID_ADDRESS.
//! - A CPU whose [`Platform::power_on`] failed and that came up all the same, before its entry was taken back, is on, and the answer is
//!   SUCCESS.
//! - AFFINITY_INFO answers for all levels. Of those above 0 an instance is on if one of its CPUs is, else on its way if one of them is; one
//!   without CPUs is INVALID_PARAMETERS. Fields below the level are not looked at.
//! - CPU_SUSPEND: what the platform refuses is DENIED. A CPU that was to sleep in a power-down state and woke up early enters anew all
//!   the same.
//! - There is no trusted OS. Functions that are optional are not offered, MIGRATE_INFO_TYPE aside.
//! - Error codes are sign-extended to 64 bits, in 32-bit calls too.
//! - Codes that a version does not have: INVALID_ADDRESS is INVALID_PARAMETERS before 1.0; to version 0.1 ALREADY_ON and ON_PENDING are so
//!   too, and INTERNAL_FAILURE is DENIED.

#![no_std]
#![forbid(unsafe_code)]

mod cpu;
mod names;
mod platform;
mod policy;
mod server;
mod sync;

pub use arm_psci::{PowerState, Version as SmcccVersion};

pub use cpu::{CpuState, Entry, Resumed};
pub use names::{answer_name, function_name};
pub use platform::{Failed, Platform};
pub use policy::{LegacyIds, Policy, PowerStateFormat, Version};
pub use server::{Answer, Server};
