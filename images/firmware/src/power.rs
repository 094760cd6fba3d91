//! The end of the machine's run: pins of the secure GPIO controller.

use core::ptr::NonNull;

use safe_mmio::fields::{ReadPureWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use crate::board;

/// A PL061, as far as it is used here.
#[repr(C)]
struct Pl061 {
    /// GPIODATA: a write reaches the pins that the address names, in its bits 9:2.
    data: [WriteOnly<u32>; 256],
    /// GPIODIR: which pins are outputs.
    direction: ReadPureWrite<u32>,
}

/// Switches the machine off.
pub fn off() -> ! {
    raise(board::POWER_OFF_PIN)
}

/// Resets the machine: all CPUs, and all devices.
pub fn reset() -> ! {
    raise(board::RESET_PIN)
}

fn raise(pin: u32) -> ! {
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<Pl061>(board::SECURE_GPIO));
    // SAFETY: the board has the controller there, mapped as a device. CPUs that come here at once do the same or end the run.
    let mut gpio = unsafe { UniqueMmioPointer::new(registers.expect("the address is not 0")) };
    let bit = 1 << pin;
    field!(gpio, direction).modify(|direction| direction | bit);
    field!(gpio, data).get(bit as usize).expect("pins are below 8").write(bit);
    loop {
        // SAFETY: waits. What comes cannot be handled any more.
        unsafe { core::arch::asm!("wfi", options(nomem, nostack, preserves_flags)) };
    }
}
