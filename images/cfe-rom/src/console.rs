//! The console: the UART on malta's CBUS. QEMU has it ready without set-up.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use uart_16550::Uart16550;
use uart_16550::backend::MmioBackend;

use crate::memory::KSEG1;

/// The UART's registers, each in eight bytes of its own.
const UART: *mut u8 = (KSEG1 + 0x1f00_0900) as *mut u8;
const STRIDE: u8 = 8;

/// The console. It has no state, so a panic or an exception can use it whatever was being written.
pub struct Console;

impl Console {
    /// Writes bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        uart().send_bytes_exact(bytes);
    }

    /// Reads what has come, without waiting. Returns how much it was.
    pub fn receive(&mut self, bytes: &mut [u8]) -> usize {
        uart().receive_bytes(bytes)
    }

    /// Whether there is something to read.
    pub fn has_input(&mut self) -> bool {
        uart().ready_to_receive().is_ok()
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    self.send(line.as_bytes());
                    self.send(b"\r\n");
                }
                None => self.send(line.as_bytes()),
            }
        }
        Ok(())
    }
}

fn uart() -> Uart16550<MmioBackend> {
    let base = NonNull::new(UART).expect("the address is not 0");
    // SAFETY: malta has a UART there, and nothing but the console uses it.
    unsafe { Uart16550::new_mmio(base, STRIDE) }.expect("the stride is a power of two")
}

/// Prints a line on the console.
macro_rules! println {
    ($($arguments:tt)*) => {{
        use core::fmt::Write as _;
        // The console cannot fail.
        let _ = writeln!($crate::console::Console, $($arguments)*);
    }};
}
pub(crate) use println;
