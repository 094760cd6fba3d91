//! The guest's timer, which is the CPU's virtual one: its interrupt is the hypervisor's, and raises that of the vCPU.
//!
//! The interrupt is a level, and stays until the guest has programmed its timer anew. From the moment that it has come until then the
//! CPU does not take it.
//!
//! Each guest has a virtual counter of its own, which begins at the same value whenever the guest does ([`COUNTER_AT_START`]). It runs ahead
//! of the machine's: of a guest whose counter runs behind, and who asks for the end of time, QEMU 7.2 adds up deadline and offset to a time in
//! the past, over and over again, and every guest stands still.

use core::sync::atomic::{AtomicBool, Ordering};

use reveille_runtime::arch::{processor, timer};
use reveille_runtime::{interrupt_controller, per_cpu};

use super::context::{read_register, write_register};

/// The private interrupt of EL1's virtual timer, by the controller's number (the architecture's recommendation, which all of Arm's follow).
pub const INTERRUPT: u32 = 27;

/// What a guest's counter shows when the guest is made: more than the machine's shows for years, and little enough for the 56 bits that a
/// counter has at least.
const COUNTER_AT_START: u64 = 1 << 54;

/// CNTV_CTL_EL0: it counts; its interrupt is masked; it is due.
const ENABLE: u64 = 1;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;

per_cpu! {
    /// This CPU does not take the interrupt.
    static OUT: AtomicBool = AtomicBool::new(false);
}

/// This CPU, which has come up, is about to take the interrupt.
pub fn begin() {
    OUT.store(false, Ordering::Relaxed);
}

/// Has this CPU, which masks interrupts, take the interrupt, or not.
pub fn take(wanted: bool) {
    if OUT.load(Ordering::Relaxed) == wanted {
        OUT.store(!wanted, Ordering::Relaxed);
        let set = interrupt_controller::set_private(processor::hw_id(), INTERRUPT, wanted);
        set.expect("the GIC has taken the interrupt before");
    }
}

/// The level of the loaded vCPU's interrupt. Once it is low again, the CPU takes the next one.
pub fn level() -> bool {
    let level = read_register!("s3_5_c14_c3_1") & (ENABLE | IMASK | ISTATUS) == ENABLE | ISTATUS;
    if !level {
        take(true);
    }
    level
}

/// Has the loaded vCPU's timer not go off any more.
pub fn stop() {
    write_register!("s3_5_c14_c3_1", 0);
}

/// When the loaded vCPU's timer goes off, by the machine's counter; for ever later if it does not.
pub fn deadline() -> u64 {
    if read_register!("s3_5_c14_c3_1") & (ENABLE | IMASK) != ENABLE {
        return u64::MAX;
    }
    // A time before the machine's counter began is long over; one that it does not reach never comes.
    read_register!("s3_5_c14_c3_2").saturating_add_signed(read_register!("cntvoff_el2").cast_signed())
}

/// The offset of a guest that begins now.
pub fn offset_now() -> u64 {
    timer::ticks().wrapping_sub(COUNTER_AT_START)
}
