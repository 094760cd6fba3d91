//! Arm's PL011.

use alloc::boxed::Box;
use core::ops::Range;

use arm_pl011_uart::{Interrupts, PL011Registers, UniqueMmioPointer};
use dtoolkit::fdt::FdtNode;

use super::{Driver, Made, Uart, map_registers};

pub(super) const DRIVER: Driver = Driver { compatible: &["arm,pl011"], new };

/// The registers up to UARTDMACR, in bytes. Some devicetrees leave out those that name the part.
const SIZE: usize = 0x4c;

struct Pl011(arm_pl011_uart::Uart<'static>);

fn new(_node: FdtNode<'_>, registers: Range<usize>) -> Made {
    let registers = map_registers(registers, SIZE)?.cast::<PL011Registers>();
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

    fn receive(&mut self) -> Option<u8> {
        loop {
            // An error is that of one byte, which is lost, or of those before it.
            if let Ok(byte) = self.0.read_word() {
                return byte;
            }
        }
    }

    fn enable_receive_interrupt(&mut self) {
        self.0.clear_interrupts(Interrupts::all());
        // The second comes for what has waited in the FIFO for a while.
        self.0.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI);
    }
}
