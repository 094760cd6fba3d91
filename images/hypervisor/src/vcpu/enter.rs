//! Into the guest and out of it: the general registers, and the exception that ends the guest's turn.

use core::arch::global_asm;
use core::mem::offset_of;

global_asm!(
    include_str!("enter.S"),
    PC = const offset_of!(Registers, pc),
    THREAD_POINTER = const offset_of!(Registers, thread_pointer),
);

/// The registers of a vCPU that the hypervisor itself uses between the guest's turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// X0 to X30.
    pub x: [u64; 31],
    /// Where the guest goes on.
    pub pc: u64,
    /// Its PSTATE, as SPSR_EL2 has it.
    pub pstate: u64,
    /// Its TPIDR_EL1, which here is the per-CPU base.
    pub thread_pointer: u64,
}

/// What ended the guest's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// What the guest did. ESR_EL2 says what.
    Synchronous,
    /// An interrupt for the machine.
    Interrupt,
    /// An error of the machine's.
    SystemError,
}

unsafe extern "C" {
    fn enter_guest(registers: *mut Registers) -> u64;
    fn save_floating_point(registers: *mut FloatingPoint);
    fn load_floating_point(registers: *const FloatingPoint);
    /// The exception vectors of a CPU that runs guests.
    static guest_vectors: u8;
}

/// Runs the guest until something ends its turn.
///
/// # Safety
/// Interrupts are masked, and this CPU is one for guests (`virt::activate_traps`); everything else of the vCPU is loaded on this CPU, and stage 2 maps what is the guest's alone.
pub unsafe fn enter(registers: &mut Registers) -> Exception {
    // SAFETY: the caller's.
    match unsafe { enter_guest(registers) } {
        0 => Exception::Synchronous,
        1 | 2 => Exception::Interrupt,
        _ => Exception::SystemError,
    }
}

/// Has this CPU, which masks interrupts, forget what it has kept of the translations of the guest that is loaded: another of its vCPUs
/// has run here, and vCPUs may mean different things by one address space id (Xen's `last_vcpu_ran`).
pub fn forget_translations() {
    // SAFETY: without TGE the instruction is about the guest; the image's own translations stay as they are.
    unsafe {
        core::arch::asm!(
            "mrs {hcr}, hcr_el2",
            "bic {guest}, {hcr}, #(1 << 27)", // TGE
            "msr hcr_el2, {guest}",
            "isb",
            "tlbi vmalle1",
            "ic iallu",
            "dsb nsh",
            "msr hcr_el2, {hcr}",
            "isb",
            hcr = out(reg) _,
            guest = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// The address of the exception vectors of a CPU that runs guests.
pub fn vectors() -> usize {
    (&raw const guest_vectors).addr()
}

/// V0 to V31, FPSR and FPCR. The image itself has no use for them.
#[derive(Clone)]
#[repr(C, align(16))]
pub struct FloatingPoint([u64; 66]);

impl FloatingPoint {
    /// All zero.
    pub const RESET: Self = Self([0; 66]);

    /// Saves those of this CPU.
    pub fn save(&mut self) {
        // SAFETY: as large and as aligned as is written.
        unsafe { save_floating_point(self) };
    }

    /// Makes them those of this CPU.
    pub fn load(&self) {
        // SAFETY: as large and as aligned as is read; the image is built without these registers.
        unsafe { load_floating_point(self) };
    }
}
