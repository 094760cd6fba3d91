//! Ctrl-C and termination: noted here, so that [`crate::qemu`] can end its child before the command ends.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Notes interrupts from now on instead of ending at once. A second interrupt ends the process.
pub fn catch() {
    // A handler that is there already does the same; without one, an interrupt from the terminal reaches QEMU as well.
    let _ = ctrlc::try_set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(crate::exit::ExitStatus::Interrupted as u8));
        }
    });
}

/// Whether someone asked this process to end.
#[must_use]
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
