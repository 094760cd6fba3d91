//! The Count and Compare registers: the clock that all CPUs share ([`reveille_mips::counter`]), and a timer of each CPU's, used one
//! shot at a time. Its interrupt comes at IP7.

use reveille_mips::counter::LOOK_BITS;
pub use reveille_mips::counter::{frequency, instant, ticks};
use reveille_mips::cp0::{read_c0, write_c0};

/// How long a CPU goes at most without a look at the clock, which has to be read so often.
const LONGEST: u64 = 1 << LOOK_BITS;
/// How soon the timer can be made to fire, in ticks, at first.
const SOONEST: u32 = 64;

/// Has this CPU interrupted when the counter reaches `deadline`, instead of what it was programmed for before; or earlier, where that
/// is far away.
pub fn program(deadline: u64) {
    let now = ticks();
    let mut soonest = SOONEST;
    let mut after = deadline.saturating_sub(now).min(LONGEST) as u32;
    loop {
        let compare = (now as u32).wrapping_add(after);
        // SAFETY: the timer is the kernel's own.
        unsafe { write_c0!("11", "0", compare) };
        // Compare matches one value of Count: if that has passed, the next match is a whole turn of Count away.
        let count = read_c0!("9", "0");
        if compare.wrapping_sub(count) as i32 > 0 {
            return;
        }
        after = count.wrapping_sub(now as u32).wrapping_add(soonest);
        soonest = soonest.saturating_mul(2);
    }
}

/// Leaves this CPU without a timer interrupt, but for the look at the clock.
pub fn stop() {
    program(u64::MAX);
}

/// Firmware does not read Count, which each stage sets as it likes.
pub fn shared_nanoseconds(_ticks: u64) -> Option<u64> {
    None
}
