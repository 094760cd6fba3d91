//! The Count registers as one clock of 64 bits.
//!
//! Count has 32 bits, and wraps within half a minute on a fast CPU. All CPUs' Counts must run together, at one rate and with one value.
//! The rate is the machine's; the value is not: a CPU that comes out of reset begins anew. Each new CPU sets its Count right before it
//! looks at the clock (Linux's `synchronise_count_slave`), by a [`Reference`] to a counter that all CPUs can read.
//!
//! What is above the 32 bits is kept in one word, which whoever looks at the clock brings up to date. Somebody must look at least
//! every 2^30 ticks: a kernel whose timers all sleep has one fire that often.

use core::sync::atomic::{AtomicU32, Ordering};

use reveille::Instant;

/// The clock must be looked at every 2 to the power of this ticks.
pub const LOOK_BITS: u32 = 30;

/// The clock at some recent look, without its lowest [`LOOK_BITS`] bits.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// Ticks in a second.
static FREQUENCY: AtomicU32 = AtomicU32::new(100_000_000);

/// The clock where Count is `count`, and was within 2^31 ticks, before or after, when the clock without its lowest bits was `epoch`.
///
/// Counts of two CPUs may be apart by a little: one that seems to be before the epoch is.
#[must_use]
pub const fn extend(epoch: u32, count: u32) -> u64 {
    let base = (epoch as u64) << LOOK_BITS;
    let since = count.wrapping_sub(base as u32) as i32;
    base.saturating_add_signed(since as i64)
}

/// Where the clock stood when a slower way to tell the time, a counter that all CPUs share, stood at some value; and how much faster the
/// clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    shared: u32,
    ticks: u64,
    /// Ticks of the clock in one of the shared counter, with [`RATE_BITS`] bits behind the point.
    rate: u64,
}

/// The precision of a rate. The product with a difference of the shared counter, of 32 bits, has room for rates of 256.
const RATE_BITS: u32 = 24;

impl Reference {
    /// The clock stood at `ticks` when the shared counter stood at `shared`; how they run is not known yet.
    #[must_use]
    pub const fn first(shared: u32, ticks: u64) -> Self {
        Self { shared, ticks, rate: 0 }
    }

    /// Where the shared counter stood.
    #[must_use]
    pub const fn shared(&self) -> u32 {
        self.shared
    }

    /// Where the clock stood.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// The same at a later moment, before the shared counter has come round: now the rates are known, from this moment and the first
    /// one. `None` if the shared counter stands still.
    #[must_use]
    pub const fn later(&self, shared: u32, ticks: u64) -> Option<Self> {
        let passed = shared.wrapping_sub(self.shared) as u64;
        if passed == 0 {
            return None;
        }
        let rate = (ticks.saturating_sub(self.ticks) << RATE_BITS) / passed;
        Some(Self { shared, ticks, rate })
    }

    /// The same at a later moment, by the rates that are known.
    #[must_use]
    pub const fn moved(&self, shared: u32, ticks: u64) -> Self {
        Self { shared, ticks, rate: self.rate }
    }

    /// Where the clock stands when the shared counter stands at `shared`, less than one turn of it later.
    #[must_use]
    pub const fn ticks_at(&self, shared: u32) -> u64 {
        let passed = shared.wrapping_sub(self.shared) as u64;
        self.ticks.wrapping_add((passed * self.rate) >> RATE_BITS)
    }
}

/// Begins the clock at Count, on the boot CPU, before anybody looks.
pub fn start(count: u32) {
    EPOCH.store(count >> LOOK_BITS, Ordering::Relaxed);
}

/// The clock where this CPU's Count is `count`, a moment ago at most.
#[must_use]
pub fn ticks_at(count: u32) -> u64 {
    let epoch = EPOCH.load(Ordering::Relaxed);
    let ticks = extend(epoch, count);
    let now = (ticks >> LOOK_BITS) as u32;
    if now.wrapping_sub(epoch) as i32 > 0 {
        // If another CPU was faster, it has done the same.
        let _ = EPOCH.compare_exchange(epoch, now, Ordering::Relaxed, Ordering::Relaxed);
    }
    ticks
}

/// The clock now.
#[cfg(target_arch = "mips")]
#[must_use]
pub fn ticks() -> u64 {
    ticks_at(crate::cp0::read_c0!("9", "0"))
}

/// Count runs at `frequency` Hz, which is not 0, on all CPUs. Until this is said it is taken for 100 MHz.
pub fn set_frequency(frequency: u32) {
    FREQUENCY.store(frequency.max(1), Ordering::Relaxed);
}

/// How many ticks make a second. Not 0.
#[must_use]
pub fn frequency() -> u64 {
    u64::from(FREQUENCY.load(Ordering::Relaxed))
}

/// The moment at which the clock stands at `ticks`.
#[must_use]
pub fn instant(ticks: u64) -> Instant {
    let frequency = frequency();
    // Whole seconds apart, so that the product fits 64 bits.
    Instant((ticks / frequency) * 1_000_000_000 + (ticks % frequency) * 1_000_000_000 / frequency)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_clock_that_is_looked_at_often_enough_never_loses_a_wrap(
            start in any::<u32>(),
            looks in prop::collection::vec(0..1_u64 << LOOK_BITS, 1..64),
        ) {
            let mut truth = u64::from(start);
            let mut epoch = start >> LOOK_BITS;
            for step in looks {
                truth += step;
                let ticks = extend(epoch, truth as u32);
                prop_assert_eq!(ticks, truth);
                epoch = (ticks >> LOOK_BITS) as u32;
            }
        }

        #[test]
        fn a_count_that_is_a_little_behind_is_read_as_that(epoch in 1..1_u32 << 30, behind in 0..1_u32 << LOOK_BITS) {
            let base = u64::from(epoch) << LOOK_BITS;
            prop_assert_eq!(extend(epoch, (base as u32).wrapping_sub(behind)), base - u64::from(behind));
        }
    }

    #[test]
    fn a_count_before_the_beginning_is_the_beginning() {
        assert_eq!(extend(0, 0_u32.wrapping_sub(5)), 0);
    }

    #[test]
    fn the_clock_goes_on_where_count_wraps() {
        start(0xffff_fff0);
        let before = ticks_at(0xffff_fff0);
        assert_eq!(ticks_at(0x10), before + 0x20);
        assert_eq!(ticks_at(0x4000_0010), before + 0x4000_0020);
        assert_eq!(ticks_at(0x8000_0010), before + 0x8000_0020);
        assert_eq!(ticks_at(0xc000_0010), before + 0xc000_0020);
        assert_eq!(ticks_at(0x10), before + 0x1_0000_0020);
        // One that looks late, with a Count from before.
        assert_eq!(ticks_at(0xffff_fff0), before + 0x1_0000_0000);
    }

    #[test]
    fn the_clock_is_told_by_a_shared_counter_that_wraps() {
        let first = Reference::first(0xffff_0000, 1_000_000);
        // 5 ticks in 3 of the shared counter.
        let reference = first.later(0xffff_0000_u32.wrapping_add(300_000), 1_500_000).unwrap();
        assert!(reference.ticks_at(0xffff_0000_u32.wrapping_add(600_000)).abs_diff(2_000_000) <= 1);
        let moved = reference.moved(7, 10);
        assert_eq!(moved.ticks_at(7), 10);
        assert!(moved.ticks_at(7 + 3_000_000).abs_diff(10 + 5_000_000) <= 1);
    }

    #[test]
    fn a_shared_counter_that_stands_still_tells_nothing() {
        assert_eq!(Reference::first(9, 100).later(9, 200), None);
    }

    proptest! {
        #[test]
        fn a_whole_turn_of_the_shared_counter_costs_a_few_ticks_at_most(
            shared in any::<u32>(), ticks in 0..1_u64 << 40, passed in 1_000_000_u32.., rate in 1..200_u64,
        ) {
            let reference = Reference::first(shared, ticks);
            let reference = reference.later(shared.wrapping_add(1000), ticks + 1000 * rate).unwrap();
            let truth = ticks + 1000 * rate + u64::from(passed - 1000) * rate;
            prop_assert_eq!(reference.ticks_at(shared.wrapping_add(passed)), truth);
        }
    }

    #[test]
    fn ticks_become_nanoseconds() {
        set_frequency(160_000_000);
        assert_eq!(instant(160_000_000 * 7 + 16), Instant(7_000_000_100));
        set_frequency(0);
        assert_eq!(frequency(), 1);
    }
}
