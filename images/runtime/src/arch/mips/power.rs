//! The end of a run.

use reveille_mips::cfe::Cfe;

use super::interrupts;

static CFE: spin::Once<&'static Cfe> = spin::Once::new();

/// From here on [`exit`] gives the machine back to CFE.
pub fn use_cfe(cfe: &'static Cfe) {
    CFE.call_once(|| cfe);
}

/// Ends the run: gives the machine back to CFE with `status`, or sleeps for ever.
pub fn exit(status: u8) -> ! {
    if let Some(cfe) = CFE.get() {
        // Returns where CFE refuses; then there is nothing left but to sleep.
        let _ = cfe.exit(false, status.into());
    }
    interrupts::sleep_for_ever()
}
