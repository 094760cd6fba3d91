//! Ctrl-C and termination: noted here, so that [`crate::qemu`] can end its child before the command ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Notes interrupts from now on instead of ending at once. A second interrupt ends the process.
///
/// Each signal by itself, since whoever starts this may have some of them ignored, as a shell does for what it runs in the
/// background. A hangup is left alone: it reaches QEMU too, and `nohup` keeps it from both.
pub fn catch() {
    INTERRUPTED.get_or_init(|| {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let status = crate::exit::ExitStatus::Interrupted as i32;
            // In this order: the first interrupt finds the flag unset. Both refuse signals only that cannot be caught.
            let _ = flag::register_conditional_shutdown(signal, status, Arc::clone(&interrupted));
            let _ = flag::register(signal, Arc::clone(&interrupted));
        }
        interrupted
    });
}

/// Whether someone asked this process to end.
#[must_use]
pub fn requested() -> bool {
    INTERRUPTED.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
}
