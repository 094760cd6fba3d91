//! What firmware answers to a program that calls it through Broadcom's CFE interface.
//!
//! A [`Server`] takes requests ([`cfe_abi::Request`]), decides, and has its [`Board`] do what hardware does. It keeps what
//! state each CPU is in ([`CpuState`]), whether the console is open, and the [`Environment`]. Firmware's entry code calls
//! [`Server::dispatch_at`] with the number of the calling CPU and the address of the request, under a lock: the server
//! itself knows of none.
//!
//! A request that is refused changes nothing: neither the server, nor the board, nor the caller's memory, nor the request but
//! for its status. The one exception is a CPU that does not park when it is stopped: it is given up.
//!
//! # What the manual leaves open
//!
//! CFE's manual (chapter 8) says what functions take and give. Where it says no more than that, this server does what
//! Linux's `arch/mips/fw/cfe` and `arch/mips/sibyte` rely on, or else the careful thing:
//!
//! - A pointer is followed only into memory that [`Board::memory_map`] calls available, through KSEG0 or KSEG1. All others
//!   are invalid parameters: null, firmware's own memory, mapped segments, what runs over an end. Where nothing is read or
//!   written, the pointer is not looked at.
//! - A string that is handed in ends at a zero or where the length beside it says, whichever is first, so that callers which
//!   count the zero and those which do not are both understood. One that is handed out always ends in a zero, and is cut
//!   short where there is too little room; no room at all is an invalid parameter.
//! - CPUCTL: only CPU 0 may start and stop others. What is not a secondary, one that runs and is to be started, and callers
//!   that are secondaries get the general error. Stopping a CPU that is parked resets it as well, and succeeds if it parks
//!   again: Linux counts the CPUs by that. One that does not park within the board's limit is given up, "not ready" is the
//!   answer, and it cannot be started; stopping it tries again. On a board with one CPU there is no such function.
//! - MEMENUM enumerates the board's map whole, with and without the flag for the full arena.
//! - FLUSHCACHE without flags writes the data cache back and invalidates the instruction cache; unknown flags are invalid.
//! - There is one device, [`CONSOLE_NAME`], which firmware itself has opened: opening it again is refused as long as it is
//!   open. Reads do not wait. There are no device commands.
//! - DEV_ENUM past the last device answers "no more", and ENV_ENUM past the last variable "not found".
//! - Deleting a variable that is not there, or that is read-only, is refused with the error that says so. No variable can be
//!   made permanent, since there is nowhere to keep it: that is an input/output error.

#![no_std]
#![forbid(unsafe_code)]

mod board;
mod environment;
mod memory;
mod server;

pub use board::{Board, BootArea, Information, MemoryRegion, NotParked, StartRecord};
pub use environment::{Access, Environment, MAX_NAME, MAX_VALUE};
pub use memory::CallerMemory;
pub use server::{CONSOLE_HANDLE, CONSOLE_NAME, CpuState, MAX_CPUS, Server};
