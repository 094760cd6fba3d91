//! The end of a run.

use core::sync::atomic::{AtomicBool, Ordering};

use reveille_aarch64::psci::{self, Conduit};
use reveille_trace_format::Record;

use super::interrupts;
use crate::console;

static SEMIHOSTING: AtomicBool = AtomicBool::new(false);
static CONDUIT: spin::Once<Conduit> = spin::Once::new();

/// From here on [`exit`] ends the run by semihosting, which tells the host a status. Where nobody listens the instruction is an
/// exception, so this must be asked for.
pub fn use_semihosting() {
    SEMIHOSTING.store(true, Ordering::Relaxed);
}

/// From here on [`exit`] can switch the machine off through PSCI.
pub fn use_psci(conduit: Conduit) {
    CONDUIT.call_once(|| conduit);
}

/// Ends the run: by semihosting with `status`, or by PSCI SYSTEM_OFF, or by sleeping for ever, whichever there is. Without semihosting a
/// record on the console has the status.
pub fn exit(status: u8) -> ! {
    tell(status);
    if let Some(conduit) = CONDUIT.get() {
        // Returns where firmware refuses; then there is nothing left but to sleep.
        let _ = psci::system_off(conduit);
    }
    interrupts::sleep_for_ever()
}

/// Resets the machine: by PSCI SYSTEM_RESET, or where the run is one of a host that wants a status, ends it with `status`.
pub fn reset(status: u8) -> ! {
    tell(status);
    if let Some(conduit) = CONDUIT.get() {
        // As above.
        let _ = psci::system_reset(conduit);
    }
    interrupts::sleep_for_ever()
}

/// Tells the host the status: by semihosting, and then this does not return, or by a record.
fn tell(status: u8) {
    if SEMIHOSTING.load(Ordering::Relaxed) {
        semihosting::process::exit(i32::from(status));
    }
    console::tell_host_at_last(&Record::Exit { status });
}
