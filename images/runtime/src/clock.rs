//! Time since the image was entered.

use core::time::Duration;

use reveille::Instant;

use crate::arch::timer;
use crate::lock::SharedU64;

static ORIGIN: SharedU64 = SharedU64::new(0);

/// Nanoseconds are counted from `ticks` of the counter on.
pub fn set_origin(ticks: u64) {
    ORIGIN.set(ticks);
}

/// The beginning of this time in nanoseconds of the counter that firmware and all stages share; `None` where they share none.
#[must_use]
pub fn origin() -> Option<u64> {
    timer::shared_nanoseconds(ORIGIN.get())
}

/// The moment at which the counter stood at `ticks`.
#[must_use]
pub fn instant_of(ticks: u64) -> Instant {
    let since = ticks.saturating_sub(ORIGIN.get());
    timer::instant(since)
}

/// Now.
#[must_use]
pub fn now() -> Instant {
    instant_of(timer::ticks())
}

/// The counter's value at `duration` from now.
#[must_use]
pub fn ticks_after(duration: Duration) -> u64 {
    timer::ticks().saturating_add(ticks_of(duration))
}

/// What the counter counts in `duration`.
#[must_use]
pub fn ticks_of(duration: Duration) -> u64 {
    let frequency = timer::frequency();
    // A division of 128 bits would cost more than a thread switch; the frequency is some GHz at most.
    let part = u64::from(duration.subsec_nanos()) * frequency / 1_000_000_000;
    duration.as_secs().saturating_mul(frequency).saturating_add(part)
}
