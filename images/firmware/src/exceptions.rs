//! What brings a CPU back to EL3 (`exceptions.S`).

use core::arch::global_asm;

use arm_sysregs::el3::accessors::read_esr_el3;

use crate::cpus::{BOOT_STACK, BOOT_STACK_SIZE};
use crate::{call_log, console, cpus, gic, power, psci};

/// What a lower level had in its general registers, and goes on with.
#[repr(C)]
pub struct Frame {
    /// X0 to X30.
    pub x: [u64; 31],
    _aligned: u64,
}

global_asm!(
    include_str!("exceptions.S"),
    FRAME_SIZE = const size_of::<Frame>(),
    BOOT_STACK = sym BOOT_STACK,
    BOOT_STACK_SIZE = const BOOT_STACK_SIZE,
);

/// ESR_EL3.EC of an SMC in AArch32 and in AArch64.
const SMC32: u8 = 0x13;
const SMC64: u8 = 0x17;

#[unsafe(no_mangle)]
extern "C" fn handle_synchronous(frame: &mut Frame) {
    match read_esr_el3().ec() {
        SMC32 | SMC64 => psci::handle(frame),
        _ => handle_unexpected(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn handle_fiq(_frame: &mut Frame) {
    gic::take_interrupts();
    psci::interrupted(cpus::this_cpu());
}

/// An error of the firmware, or a trap that it should have opened: there is nothing to go on with.
#[unsafe(no_mangle)]
extern "C" fn handle_unexpected() -> ! {
    let (elr, far, spsr): (u64, u64, u64);
    // SAFETY: reading these registers has no effect.
    unsafe {
        core::arch::asm!("mrs {}, elr_el3", "mrs {}, far_el3", "mrs {}, spsr_el3",
            out(reg) elr, out(reg) far, out(reg) spsr, options(nomem, nostack, preserves_flags));
    }
    let (cpu, esr) = (cpus::this_cpu(), read_esr_el3().bits());
    console::print_last_words(format_args!(
        "\nfirmware: CPU {cpu}: unexpected exception: ESR {esr:#x} ELR {elr:#x} FAR {far:#x} SPSR {spsr:#x}\n"
    ));
    call_log::flush_if_possible();
    power::off()
}
