//! The console, which is the machine's first UART and the next stage's too, and the secure UART, which is the firmware's alone.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use spin::Mutex;

use crate::board;

/// A UART, by where its registers are.
struct Port(usize);

static CONSOLE: Port = Port(board::UART);
static SECURE: Port = Port(board::SECURE_UART);
static LOCK: Mutex<()> = Mutex::new(());

impl Port {
    fn uart(&self) -> Uart<'static> {
        let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<PL011Registers>(self.0));
        // SAFETY: the board has a UART there, and at EL3 it is used under a lock, or by a CPU's last words.
        Uart::new(unsafe { UniqueMmioPointer::new(registers.expect("the address is not 0")) })
    }

    fn init(&self) {
        let line = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
        // A refusal leaves the UART as it was, and there is nobody to tell.
        let _ = self.uart().enable(line, 115_200, board::UART_CLOCK);
    }
}

/// Sets the UARTs up.
pub fn init() {
    CONSOLE.init();
    SECURE.init();
}

/// The secure UART. Whoever writes sees to it that nobody else does.
pub fn secure() -> impl Write {
    &SECURE
}

impl Write for &Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut uart = self.uart();
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
    let _ = (&CONSOLE).write_fmt(arguments);
}

/// Prints without regard for who prints now.
pub fn print_last_words(arguments: fmt::Arguments<'_>) {
    // As above.
    let _ = (&CONSOLE).write_fmt(arguments);
}

/// Prints a line.
macro_rules! println {
    ($($argument:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($argument)*))) };
}
pub(crate) use println;
