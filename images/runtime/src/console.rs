//! The console: the UART that the devicetree's `/chosen/stdout-path` names.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use reveille_trace_format::{Record, write_record};

use crate::arch::memory_map;
use crate::devicetree;
use crate::lock::IrqLock;

/// A PL011, as the firmware or boot loader has set it up.
struct Pl011(Uart<'static>);

impl Pl011 {
    fn write_byte(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        self.0.write_word(byte);
    }
}

impl Write for Pl011 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.write_byte(b'\r');
            }
            self.write_byte(byte);
        }
        Ok(())
    }
}

static CONSOLE: IrqLock<Option<Pl011>> = IrqLock::new(None);

/// Finds and maps the console. Until then, and where there is none, output is lost.
///
/// # Errors
/// Why there is no console.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let node = devicetree::stdout(fdt).ok_or("the devicetree names no console")?;
    if !node.is_compatible("arm,pl011") {
        return Err("the console is no PL011");
    }
    let registers = devicetree::regions(node).next().ok_or("the console has no registers")?;
    memory_map::map_device(registers.start, registers.len()).map_err(|_| "the console cannot be mapped")?;
    let pointer = NonNull::new(registers.start as *mut PL011Registers).ok_or("the console lies at address 0")?;
    // SAFETY: mapped as device memory just now, and nobody else uses it.
    let uart = Uart::new(unsafe { UniqueMmioPointer::new(pointer) });
    *CONSOLE.lock() = Some(Pl011(uart));
    Ok(())
}

/// Prints, for [`print!`](crate::print!).
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    if let Some(console) = CONSOLE.lock().as_mut() {
        // A PL011 takes everything.
        let _ = console.write_fmt(arguments);
    }
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
