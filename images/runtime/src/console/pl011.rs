//! Arm's PL011.

use alloc::boxed::Box;

use arm_pl011_uart::{PL011Registers, UniqueMmioPointer};
use dtoolkit::fdt::FdtNode;

use super::{Driver, Uart, map_registers};

pub(super) const DRIVER: Driver = Driver { compatible: &["arm,pl011"], new };

/// The registers up to UARTDMACR, in bytes. Some devicetrees leave out those that name the part.
const SIZE: usize = 0x4c;

struct Pl011(arm_pl011_uart::Uart<'static>);

fn new(node: FdtNode<'_>) -> Result<Box<dyn Uart>, &'static str> {
    let registers = map_registers(node, SIZE)?.cast::<PL011Registers>();
    // SAFETY: mapped as device memory just now, and nobody else uses it.
    let registers = unsafe { UniqueMmioPointer::new(registers) };
    Ok(Box::new(Pl011(arm_pl011_uart::Uart::new(registers))))
}

impl Uart for Pl011 {
    fn send(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        self.0.write_word(byte);
    }
}
