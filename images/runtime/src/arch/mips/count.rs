//! The Counts of all CPUs, made to run together: each new CPU sets its own by the counter of the [`Gic`], which all CPUs can read (Linux's
//! `synchronise_count_slave`). The SB1250 has such a counter for its clock; reading the Gic's takes far longer than reading Count.

use reveille_mips::counter::{self, Reference};
use reveille_mips::cp0::{read_c0, write_c0};

use super::gic::Gic;
use crate::lock::IrqLock;

/// How often a look at both counters is tried for one that nothing came between.
const LOOKS: usize = 32;
/// How long a look may take, in ticks, that is good enough at once.
const SHORT: u32 = 200;
/// How often a CPU tries to set its Count, and how far it may be off, in microseconds.
const TRIES: usize = 16;
const TOLERANCE_US: u64 = 20;

/// The counter that all CPUs share, and what is known of it.
struct Shared {
    gic: &'static Gic,
    first: Reference,
    /// At the last kick.
    latest: Reference,
}

static SHARED: IrqLock<Option<Shared>> = IrqLock::new(None);

/// The Gic's counter and Count at one moment: of some looks the shortest.
fn look(gic: &Gic) -> (u32, u32) {
    let mut best = (u32::MAX, (0, 0));
    for _ in 0..LOOKS {
        let before = read_c0!("9", "0");
        let shared = gic.shared_counter();
        let took = read_c0!("9", "0").wrapping_sub(before);
        if took < best.0 {
            best = (took, (shared, before.wrapping_add(took / 2)));
        }
        if took < SHORT {
            break;
        }
    }
    best.1
}

/// On the boot CPU: the machine has this counter.
pub(super) fn use_shared_counter(gic: &'static Gic) {
    let (shared, count) = look(gic);
    let first = Reference::first(shared, counter::ticks_at(count));
    *SHARED.lock() = Some(Shared { gic, first, latest: first });
}

/// On a CPU whose Count runs with the clock, just before it has another one started: notes where the clock stands.
pub fn note_reference() {
    let mut shared = SHARED.lock();
    let Some(Shared { gic, first, latest }) = shared.as_mut() else { return };
    let (counter, count) = look(gic);
    let ticks = counter::ticks_at(count);
    // Once a long time lies between the two, the rate is known as well as it can be.
    let is_near =
        counter.wrapping_sub(first.shared()) < u32::MAX / 2 && ticks - first.ticks() < 1 << counter::LOOK_BITS;
    *latest = match first.later(counter, ticks) {
        Some(later) if is_near => later,
        _ => latest.moved(counter, ticks),
    };
}

/// On a new CPU, before it looks at the clock: sets Count to run with it. By how much Count was behind.
pub fn synchronise() -> u32 {
    let (gic, reference) = match SHARED.lock().as_ref() {
        Some(shared) => (shared.gic, shared.latest),
        None => return 0,
    };
    let tolerance = (TOLERANCE_US * counter::frequency() / 1_000_000) as u32;
    let mut behind = 0_u32;
    for _ in 0..TRIES {
        let (shared, count) = look(gic);
        let off = (reference.ticks_at(shared) as u32).wrapping_sub(count);
        if off.wrapping_add(tolerance) <= 2 * tolerance {
            break;
        }
        behind = behind.wrapping_add(off);
        // SAFETY: Count is the kernel's, and no timer of this CPU is set.
        unsafe { write_c0!("9", "0", read_c0!("9", "0").wrapping_add(off)) };
    }
    behind
}
