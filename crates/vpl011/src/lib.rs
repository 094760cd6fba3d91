//! An Arm PL011 (DDI 0183) for a guest: registers, FIFO levels and the interrupt line.
//!
//! A [`Vpl011`] takes the accesses of a guest to its 4 KiB of registers ([`Vpl011::read`], [`Vpl011::write`]) and the bytes that are typed
//! ([`Vpl011::receive`]). After each of these the hypervisor looks at [`Vpl011::interrupt`], which is the level of the interrupt line. It
//! is a value without a lock: the hypervisor has one around it, since several vCPUs may write.
//!
//! ```
//! use vpl011::Vpl011;
//!
//! let mut uart = Vpl011::new();
//! assert_eq!(uart.write(0x00, b'!'.into()), Some(b'!'));
//!
//! uart.write(0x38, 1 << 4 | 1 << 6); // UARTIMSC: received data, and the receive timeout
//! assert!(uart.receive(b'x').is_ok());
//! assert!(uart.interrupt());
//! assert_eq!(uart.read(0x00), b'x'.into());
//! assert!(!uart.interrupt());
//! ```
//!
//! # What differs from hardware
//!
//! - A byte is sent at once: the transmit FIFO is always empty, and its interrupt is raised by every byte.
//! - Bytes are sent whether the UART is enabled or not, since early consoles rely on a boot loader's set-up.
//! - The receive timeout has passed as soon as there is data. Bytes beyond the FIFO's depth wait in a queue of [`INPUT_QUEUE`] bytes, and
//!   move up as the guest reads: there is no overrun, and there are no other errors.
//! - The modem's inputs are asserted. The rate, breaks, parity and DMA are kept and mean nothing.

#![no_std]
#![forbid(unsafe_code)]

mod queue;
mod uart;

pub use queue::{Full, INPUT_QUEUE};
pub use uart::Vpl011;
