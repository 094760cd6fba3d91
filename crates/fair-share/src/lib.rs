//! A fair share of the CPUs for each thread, where each CPU has a run queue of its own.
//!
//! Every thread has a *time*: it grows by as much as the thread runs. Whoever has the least runs next ([`FairShare::next`]). At the end
//! of each slice a CPU looks at what waits in the queues of others, and fetches a thread that lies more than a slice behind its own
//! ([`FairShare::is_behind`]): so threads wander, and times stay together over all CPUs, as far as threads may move. A CPU with nothing to do fetches
//! whatever waits.
//!
//! Times of different CPUs cannot always be compared: a thread that sleeps falls behind, and one that has a CPU for itself runs ahead of
//! three that are bound to another. So each CPU has a *floor*, the least time of what it has to run ([`FairShare::floor`]), and a thread that comes to it
//! keeps no more of its difference to that than [`FairShare::LIMIT`] slices ([`FairShare::arrival`]).
//!
//! This is arithmetic: queues, locks and the clock are the caller's, and the unit is what its clock counts.
//!
//! ```
//! use fair_share::FairShare;
//!
//! let share = FairShare::new(10);
//! let waiting = [40, 30, 30];
//! assert_eq!(share.next(waiting), Some((1, 30)));
//! assert!(!share.is_behind(30, 40) && share.is_behind(30, 41));
//! ```

#![no_std]
#![forbid(unsafe_code)]

/// The rules, for a slice of some length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FairShare {
    slice: u64,
}

impl FairShare {
    /// How many slices a thread can be ahead of the others when it comes to a CPU, or behind them.
    pub const LIMIT: u64 = 10;

    /// Threads run for `slice` at a time while others wait.
    #[must_use]
    pub const fn new(slice: u64) -> Self {
        Self { slice }
    }

    /// Of threads with these times the place of the one that runs next, and its time: the least, and of equals the one that waits
    /// longest, which is first.
    pub fn next(&self, times: impl IntoIterator<Item = u64>) -> Option<(usize, u64)> {
        times.into_iter().enumerate().min_by_key(|&(_, time)| time)
    }

    /// Whether a thread with the time `waiting`, in the queue of another CPU, is to be fetched by one whose own have `least`.
    #[must_use]
    pub const fn is_behind(&self, waiting: u64, least: u64) -> bool {
        waiting.saturating_add(self.slice) < least
    }

    /// The floor of a CPU that had `floor` and whose threads have `least` now, or of one that has had nothing to run and where others have
    /// `least` as their floor. It never sinks.
    #[must_use]
    pub const fn floor(&self, floor: u64, least: u64) -> u64 {
        if least > floor { least } else { floor }
    }

    /// The time of a thread that had `time`, when it comes to a CPU with this `floor`: it wakes up there, or is moved. `alone`: nobody is
    /// there whom it could be compared with, and who would have to wait for it.
    #[must_use]
    pub const fn arrival(&self, time: u64, floor: u64, alone: bool) -> u64 {
        let limit = self.slice.saturating_mul(Self::LIMIT);
        let (least, most) = (floor.saturating_sub(limit), floor.saturating_add(limit));
        if time < least {
            least
        } else if time > most && !alone {
            most
        } else {
            time
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: FairShare = FairShare::new(10);

    #[test]
    fn of_equals_the_first_is_next() {
        assert_eq!(SHARE.next([]), None);
        assert_eq!(SHARE.next([7, 5, 5]), Some((1, 5)));
    }

    #[test]
    fn who_comes_keeps_a_limited_difference() {
        assert_eq!(SHARE.arrival(0, 1_000, false), 900);
        assert_eq!(SHARE.arrival(950, 1_000, false), 950);
        assert_eq!(SHARE.arrival(5_000, 1_000, false), 1_100);
        assert_eq!(SHARE.arrival(5_000, 1_000, true), 5_000);
        assert_eq!(SHARE.arrival(0, 5, false), 0);
    }

    #[test]
    fn a_floor_never_sinks() {
        assert_eq!((SHARE.floor(5, 7), SHARE.floor(7, 5)), (7, 7));
    }
}
