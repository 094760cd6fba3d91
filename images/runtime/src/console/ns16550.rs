//! UARTs with the registers of a 16550. Devicetrees say how far apart the registers lie (`reg-shift`) and how wide accesses to
//! them must be (`reg-io-width`).
//!
//! The mini UART of Broadcom's BCM2835 family is one of them as far as it is used here: its registers are words, and its
//! devicetree node does not say so.

use alloc::boxed::Box;
use core::ops::Range;
use core::ptr::NonNull;

use dtoolkit::fdt::FdtNode;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadWrite;
use uart_16550::spec::NUM_REGISTERS;
use uart_16550::spec::registers::{IER, LSR, offsets};

use super::{Driver, Made, Uart, map_registers};
use crate::devicetree;

pub(super) const DRIVER: Driver = Driver { compatible: &["ns16550a", "ns16550", "snps,dw-apb-uart"], new };
pub(super) const MINI_UART: Driver = Driver { compatible: &["brcm,bcm2835-aux-uart"], new: new_mini_uart };

/// How wide an access to a register is. The register is in the low byte.
#[derive(Clone, Copy)]
enum Width {
    Byte,
    Word,
}

struct Ns16550 {
    base: NonNull<u8>,
    /// The distance between two registers, as a power of two.
    shift: u32,
    width: Width,
}

// SAFETY: the registers may be used from any CPU, and nobody else uses them.
unsafe impl Send for Ns16550 {}

fn new(node: FdtNode<'_>, registers: Range<usize>) -> Made {
    let shift = devicetree::u32_property(node, "reg-shift").unwrap_or(0);
    let offset = devicetree::u32_property(node, "reg-offset").unwrap_or(0) as usize;
    let width = match devicetree::u32_property(node, "reg-io-width").unwrap_or(1) {
        1 => Width::Byte,
        4 => Width::Word,
        _ => return Err("the console's registers have a width that there is no driver for"),
    };
    with_layout(registers, offset, shift, width)
}

fn new_mini_uart(_node: FdtNode<'_>, registers: Range<usize>) -> Made {
    with_layout(registers, 0, 2, Width::Word)
}

fn with_layout(registers: Range<usize>, offset: usize, shift: u32, width: Width) -> Made {
    let alignment = match width {
        Width::Byte => 1,
        Width::Word => 4,
    };
    if shift > 4 || alignment > 1 << shift || !offset.is_multiple_of(alignment) {
        return Err("the console's registers lie where they cannot");
    }
    let base = map_registers(registers, offset + (NUM_REGISTERS << shift))?;
    if !base.addr().get().is_multiple_of(alignment) {
        return Err("the console's registers lie where they cannot");
    }
    // SAFETY: the offset lies within the registers, which are as many as were asked for.
    let base = unsafe { base.add(offset) };
    Ok(Box::new(Ns16550 { base, shift, width }))
}

impl Ns16550 {
    fn register<T>(&mut self, index: usize) -> UniqueMmioPointer<'_, ReadWrite<T>> {
        // SAFETY: `new` has seen that all registers are mapped and aligned for `width`, which `T` is, and `self` is borrowed.
        unsafe { UniqueMmioPointer::new(self.base.add(index << self.shift).cast()) }
    }

    fn read(&mut self, index: usize) -> u8 {
        match self.width {
            Width::Byte => self.register::<u8>(index).read(),
            Width::Word => self.register::<u32>(index).read() as u8,
        }
    }

    fn write(&mut self, index: usize, value: u8) {
        match self.width {
            Width::Byte => self.register::<u8>(index).write(value),
            Width::Word => self.register::<u32>(index).write(u32::from(value)),
        }
    }

    fn line_status(&mut self) -> LSR {
        LSR::from_bits_retain(self.read(offsets::LSR))
    }
}

impl Uart for Ns16550 {
    fn send(&mut self, byte: u8) {
        while !self.line_status().contains(LSR::THR_EMPTY) {
            core::hint::spin_loop();
        }
        self.write(offsets::DATA, byte);
    }

    fn receive(&mut self) -> Option<u8> {
        self.line_status().contains(LSR::DATA_READY).then(|| self.read(offsets::DATA))
    }

    fn enable_receive_interrupt(&mut self) {
        self.write(offsets::IER, IER::DATA_READY.bits());
    }
}
