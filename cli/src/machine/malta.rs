//! MIPS Technologies' Malta board, as QEMU has it, with a boot ROM of our own: up to 16 CPUs that are started through CFE.

use super::{Description, EntryLevel, Firmware, Machine};
use crate::image;

/// The console is the CBUS UART, QEMU's third serial port, which needs no set-up.
pub const MALTA: Machine = Machine {
    name: "malta",
    image: &image::MIPS_KERNEL,
    qemu_machine: "malta",
    firmware: Some(Firmware { image: &image::CFE_ROM, image_address: 0x0800_0000, environment_address: 0x07ff_f000 }),
    secure_firmware: None,
    entry_level: EntryLevel::None,
    formats: &[],
    gics: &[],
    // Of the models with several CPUs, QEMU emulates this one in a thread a CPU, and its CPUs can be stopped from outside.
    cpu_model: "P5600",
    takes_cpu_models: false,
    memory: "256M",
    cpus: 1..=16,
    // The ROM of its graphics card is in a package that QEMU's only recommends.
    without: &["-vga"],
    serial: &["null", "null", "stdio"],
    description: Description::Firmware,
    has_pens: false,
};
