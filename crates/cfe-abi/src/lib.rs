//! What goes over the interface of Broadcom's Common Firmware Environment (CFE).
//!
//! A program that CFE has loaded is entered with a handle in `a0`, 0 in `a1`, the address of the API's entry in `a2` and
//! [`SEAL`] in `a3`. It calls the entry ([`EntryPoint`]) with the handle and the address of a [`Request`], which says what
//! is wanted ([`Function`]) and has room for the answer. The status comes back in the request and in `v0`: 0, or a negative
//! code ([`Error`]). Another CPU that [`Function::CpuControl`] started is entered likewise, with the `a1` that was asked for.
//!
//! Every field is 64 bits wide and in the byte order of the machine, whatever the width of CPU and firmware, so that one
//! format serves all; [`mod@pointer`] has addresses. The names of the manual and of Linux's `cfe_api_int.h` stand beside ours.
//!
//! # Example
//!
//! A kernel starts CPU 1:
//!
//! ```
//! use cfe_abi::{CpuCommand, CpuControl, Error, Function, Request, pointer};
//!
//! # fn call(request: &mut Request) { request.status = Error::General.code(); }
//! let mut request = Request::with(
//!     Function::CpuControl,
//!     CpuControl {
//!         cpu_number: 1,
//!         command: CpuCommand::Start.code(),
//!         start_address: pointer::from_address(0x8010_0000),
//!         stack_pointer: pointer::from_address(0x8020_0000),
//!         ..CpuControl::default()
//!     },
//! );
//! call(&mut request);
//! assert_eq!(request.result(), Err(Error::General));
//! ```

#![no_std]
#![forbid(unsafe_code)]

mod code;
mod error;
mod parameters;
pub mod pointer;
mod request;

pub use code::{
    CacheFlags, CpuCommand, DeviceClass, FLAG_ENVIRONMENT_PERMANENT, FLAG_FULL_ARENA, FLAG_WARM_START, FirmwareFlags,
    Function, MemoryType, STANDARD_HANDLE_CONSOLE,
};
pub use error::Error;
pub use parameters::{
    Buffer, CpuControl, EnvironmentBuffer, ExitStatus, FirmwareInfo, InputStatus, MAX_WORDS, MemoryInfo, NoParameters,
    Parameters, Time,
};
pub use request::{HEADER_SIZE, Request};

/// What says that CFE is there: in `a3` of every CPU that CFE enters, and in memory beside the entry vector ("CFE1").
pub const SEAL: u32 = 0x4346_4531;

/// Where the API's entry is, from where the ROM begins (physical 0x1FC0_0000).
pub const ENTRY_OFFSET: u32 = 0x500;

/// Where the two words are that hold [`SEAL`], from where the ROM begins.
pub const SEAL_OFFSETS: [u32; 2] = [0x4e0, 0x4e4];

/// The API's entry as a caller sees it: the handle that it was given in `a0`, and its request. Returns the status.
///
/// Kept over the call are `s0` to `s7`, `k0`, `k1`, `gp`, `ra` and the status register. Any CPU may call.
pub type EntryPoint = unsafe extern "C" fn(handle: usize, request: *mut Request) -> isize;
