//! Time, for waits that end: [`Instant`], [`Deadline`] and [`Timeout`].

use core::time::Duration;

/// A moment on the machine's monotonic clock, in nanoseconds from an origin of the clock's choosing.
///
/// The clock must be the same for all CPUs (on arm64 the system counter is).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// Nanoseconds from `earlier` to this moment; 0 if `earlier` is the later one.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// `duration` in nanoseconds; saturates at the end of time.
const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

/// The moment at which a wait ends, whatever it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `after` from `start`; saturates at the end of time.
    #[must_use]
    pub const fn after(start: Instant, after: Duration) -> Self {
        Self(Instant(start.0.saturating_add(nanos(after))))
    }

    /// The moment itself.
    #[must_use]
    pub const fn at(self) -> Instant {
        self.0
    }

    /// Whether the deadline has come.
    #[must_use]
    pub fn is_past(self, now: Instant) -> bool {
        now >= self.0
    }
}

/// How long CPUs that were kicked may take: a base, and more for every CPU that was kicked with them.
///
/// Counted from the last kick, so that any number of dead CPUs cost one timeout together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// Both in nanoseconds.
    base: u64,
    per_cpu: u64,
}

impl Timeout {
    /// One second, and 10 ms for every CPU.
    pub const DEFAULT: Self = Self::new(Duration::from_secs(1), Duration::from_millis(10));

    /// `base`, and `per_cpu` for every CPU that was kicked.
    #[must_use]
    pub const fn new(base: Duration, per_cpu: Duration) -> Self {
        Self { base: nanos(base), per_cpu: nanos(per_cpu) }
    }

    /// The deadline of `cpus` CPUs of which the last was kicked at `last_kick`.
    #[must_use]
    pub fn deadline(self, last_kick: Instant, cpus: usize) -> Deadline {
        let allowed = self.base.saturating_add(self.per_cpu.saturating_mul(cpus as u64));
        Deadline(Instant(last_kick.0.saturating_add(allowed)))
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_grows_with_the_number_of_cpus() {
        let timeout = Timeout::new(Duration::from_nanos(100), Duration::from_nanos(10));
        let deadline = timeout.deadline(Instant(1_000), 4);
        assert!(!deadline.is_past(Instant(1_139)));
        assert!(deadline.is_past(Instant(1_140)));
    }

    #[test]
    fn the_end_of_time_saturates() {
        let deadline = Timeout::new(Duration::MAX, Duration::MAX).deadline(Instant(u64::MAX), usize::MAX);
        assert!(deadline.is_past(Instant(u64::MAX)));
        assert!(!deadline.is_past(Instant(u64::MAX - 1)));
        assert_eq!(Instant(3).nanos_since(Instant(5)), 0);
    }
}
