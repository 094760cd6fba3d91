//! The console: whatever UART the machine has for it, as the firmware or boot loader has set it up. With a devicetree that is the one
//! which `/chosen/stdout-path` names ([`find`]).

pub mod command;
pub mod cpus;
mod input;
mod ns16550;
mod pl011;

use alloc::boxed::Box;
use core::fmt::{self, Write};
use core::ops::Range;
use core::ptr::NonNull;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
pub use input::{Line, Typed, init_input, read_byte, read_line, wait_for_byte};
use reveille_trace_format::{Record, write_record};

use crate::arch::memory_map;
use crate::devicetree;
use crate::lock::IrqLock;

/// What a UART's driver does.
pub trait Uart: Send {
    /// Sends `byte`, once there is room for it.
    fn send(&mut self, byte: u8);

    /// Sends all `bytes`.
    fn send_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.send(byte));
    }

    /// The next byte that has come, if there is one.
    fn receive(&mut self) -> Option<u8>;

    /// Has it interrupt while there is something to receive, if it can.
    fn enable_receive_interrupt(&mut self);
}

/// A UART, or why it cannot be used.
type Made = Result<Box<dyn Uart>, &'static str>;

/// A driver, and the devices that it is for.
struct Driver {
    compatible: &'static [&'static str],
    new: fn(FdtNode<'_>, Range<usize>) -> Made,
}

const DRIVERS: [Driver; 3] = [pl011::DRIVER, ns16550::DRIVER, ns16550::MINI_UART];

struct Console(Box<dyn Uart>);

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    self.0.send_all(line.as_bytes());
                    self.0.send_all(b"\r\n");
                }
                None => self.0.send_all(line.as_bytes()),
            }
        }
        Ok(())
    }
}

static CONSOLE: IrqLock<Option<Console>> = IrqLock::new(None);

/// From here on the console is `uart`. Until then output is lost.
pub fn init(uart: Box<dyn Uart>) {
    *CONSOLE.lock() = Some(Console(uart));
}

/// Finds and maps the console that the devicetree names.
///
/// # Errors
/// Why there is no console.
pub fn find(fdt: &Fdt<'_>) -> Result<Box<dyn Uart>, &'static str> {
    let node = devicetree::stdout(fdt).ok_or("the devicetree names no console")?;
    let is_for = |driver: &&Driver| driver.compatible.iter().any(|name| node.is_compatible(name));
    let driver = DRIVERS.iter().find(is_for).ok_or("there is no driver for the console")?;
    let registers = devicetree::physical_regions(fdt, node).next().ok_or("the console has no registers")?;
    (driver.new)(node, registers)
}

/// Maps `registers`, of which a driver needs `size` bytes.
fn map_registers(registers: Range<usize>, size: usize) -> Result<NonNull<u8>, &'static str> {
    if registers.len() < size {
        return Err("the console has too few registers");
    }
    memory_map::map_device(registers.start, registers.len()).map_err(|_| "the console cannot be mapped")
}

/// Prints, for [`print!`](crate::print!).
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    if let Some(console) = CONSOLE.lock().as_mut() {
        // A UART takes everything.
        let _ = console.write_fmt(arguments);
    }
}

/// Prints bytes as they are.
pub fn print_bytes(bytes: &[u8]) {
    if let Some(console) = CONSOLE.lock().as_mut() {
        console.0.send_all(bytes);
    }
}

/// Prints, unless the console is in use: whether it did.
pub(crate) fn try_print(arguments: fmt::Arguments<'_>) -> bool {
    let Some(mut console) = CONSOLE.try_lock() else { return false };
    if let Some(console) = console.as_mut() {
        let _ = console.write_fmt(arguments);
    }
    true
}

/// Prints the last words of a CPU, whoever holds the console.
pub(crate) fn print_last_words(arguments: fmt::Arguments<'_>) {
    // SAFETY: called by the panic handler.
    if let Some(console) = unsafe { CONSOLE.lock_or_break() }.as_mut() {
        let _ = console.write_fmt(arguments);
    }
}

/// Tells the host `record`. One that is too long is replaced by a line of text that says so.
pub fn tell_host(record: &Record<&str>) {
    if let Some(console) = CONSOLE.lock().as_mut()
        && write_record(console, record).is_err()
    {
        let _ = writeln!(console, "a record for the host was too long");
    }
}

/// Tells the host `record` as the last thing of a run, whoever holds the console. On MIPS nobody does: CFE is given the status.
#[cfg(target_arch = "aarch64")]
pub(crate) fn tell_host_at_last(record: &Record<&str>) {
    // SAFETY: the run ends.
    if let Some(console) = unsafe { CONSOLE.lock_or_break() }.as_mut() {
        let _ = write_record(console, record);
    }
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::print(format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", format_args!($($argument)*)) };
}
