//! The console: the machine's first UART, which is the next stage's too.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use spin::Mutex;

use crate::board;

struct Console;

static LOCK: Mutex<()> = Mutex::new(());

fn uart() -> Uart<'static> {
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<PL011Registers>(board::UART));
    // SAFETY: the board has a UART there, and at EL3 it is used under the lock, or by a CPU's last words.
    Uart::new(unsafe { UniqueMmioPointer::new(registers.expect("the address is not 0")) })
}

/// Sets the UART up.
pub fn init() {
    let line = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
    // A refusal leaves the UART as it was, and there is nobody to tell.
    let _ = uart().enable(line, 115_200, board::UART_CLOCK);
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut uart = uart();
        for byte in text.bytes() {
            if byte == b'\n' {
                send(&mut uart, b'\r');
            }
            send(&mut uart, byte);
        }
        Ok(())
    }
}

fn send(uart: &mut Uart<'_>, byte: u8) {
    while uart.is_tx_fifo_full() {
        core::hint::spin_loop();
    }
    uart.write_word(byte);
}

/// Prints, for [`println!`].
pub fn print(arguments: fmt::Arguments<'_>) {
    let _lock = LOCK.lock();
    // A UART takes everything.
    let _ = Console.write_fmt(arguments);
}

/// Prints without regard for who prints now.
pub fn print_last_words(arguments: fmt::Arguments<'_>) {
    // As above.
    let _ = Console.write_fmt(arguments);
}

/// Prints a line.
macro_rules! println {
    ($($argument:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($argument)*))) };
}
pub(crate) use println;
