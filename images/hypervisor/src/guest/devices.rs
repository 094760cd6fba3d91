//! What is where in a guest's addresses that is no memory.

use core::ops::Range;
use core::sync::atomic::Ordering;

use guest_config::Pl011;
use vgic::{AccessSize, REDISTRIBUTOR_SIZE};
use vpl011::Vpl011;

use super::{Guest, MAX_VCPUS, output};

/// The distributor of its GICv3.
pub const DISTRIBUTOR: u64 = 0x0800_0000;
/// How large that is, in bytes.
pub const DISTRIBUTOR_SIZE: u64 = 0x1_0000;
/// The redistributors, one behind the other.
pub const REDISTRIBUTORS: u64 = 0x080a_0000;
/// How many shared interrupts there are.
pub const SPIS: usize = 32;
/// Its UART.
pub const UART: Pl011 = Pl011 { address: 0x0900_0000, intid: 33 };
const UART_SIZE: u64 = 0x1000;

/// Whether one of the guest's own devices may be at one of these addresses.
pub fn are_at(range: &Range<u64>) -> bool {
    let redistributors = REDISTRIBUTORS..REDISTRIBUTORS + MAX_VCPUS as u64 * REDISTRIBUTOR_SIZE;
    [DISTRIBUTOR..DISTRIBUTOR + DISTRIBUTOR_SIZE, redistributors, UART.address..UART.address + UART_SIZE]
        .iter()
        .any(|device| device.start < range.end && range.start < device.end)
}

/// An access to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The guest's physical address.
    pub address: u64,
    /// How much of it.
    pub size: AccessSize,
    /// What is written; `None` for a read.
    pub write: Option<u64>,
}

impl Guest {
    /// Does an access to the interrupt controller: what was read, or 0. `None` if it is to something else.
    pub fn access_interrupt_controller(&self, access: &Access) -> Option<u64> {
        let &Access { address, size, write } = access;
        let within = |start: u64, length: u64| address.checked_sub(start).filter(|&offset| offset < length);
        if let Some(offset) = within(DISTRIBUTOR, DISTRIBUTOR_SIZE) {
            let Some(value) = write else { return Some(self.vgic().read_distributor(offset, size)) };
            let concerned = self.vgic().write_distributor(offset, size, value);
            self.wake_all(&concerned);
        } else if let Some(offset) = within(REDISTRIBUTORS, self.redistributors_size) {
            let Some(value) = write else { return Some(self.vgic().read_redistributors(offset, size)) };
            let concerned = self.vgic().write_redistributors(offset, size, value);
            self.wake_all(&concerned);
        } else {
            return None;
        }
        Some(0)
    }

    /// Does an access to the UART: what was read, or 0, and whether its interrupt has changed. `None` if it is to something else.
    pub fn access_uart(&self, access: &Access) -> Option<(u64, bool)> {
        let offset = access.address.checked_sub(UART.address).filter(|&offset| offset < UART_SIZE)?;
        let mut uart = self.uart.lock();
        let value = match access.write {
            None => uart.read(offset),
            Some(value) => {
                uart.write(offset, value).inspect(|&byte| output::print(self.number, byte));
                0
            }
        };
        Some((value, self.show_uart_interrupt(&uart)))
    }

    /// Something is typed for this guest. What it does not take is lost.
    pub fn type_byte(&self, byte: u8) {
        let mut uart = self.uart.lock();
        let _ = uart.receive(byte);
        self.show_uart_interrupt(&uart);
    }

    /// With the UART's lock held: levels come in the order in which they were. Whether there is another than before.
    fn show_uart_interrupt(&self, uart: &Vpl011) -> bool {
        let level = uart.interrupt();
        if self.uart_interrupt.swap(level, Ordering::Relaxed) == level {
            return false;
        }
        let concerned = self.vgic().set_spi(UART.intid, level);
        self.wake_all(&concerned);
        true
    }
}
