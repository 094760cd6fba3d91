//! When what is kept is to be written.

use crate::{Ring, Slot};

/// How long what happened may wait, in ticks of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long nothing has to have happened before it is written.
    pub quiet: u64,
    /// How long it is kept at most, if things go on happening.
    pub oldest: u64,
}

impl Pace {
    /// When what is in `ring` is to be written: `now`, if that is much; `None` where there is nothing.
    #[must_use]
    pub fn due<S: AsRef<[Slot]>>(self, ring: &Ring<S>, now: u64) -> Option<u64> {
        let (oldest, latest) = ring.times()?;
        let due = latest.saturating_add(self.quiet).min(oldest.saturating_add(self.oldest));
        Some(if ring.count() >= ring.much() { now } else { due })
    }
}

#[cfg(test)]
mod tests {
    use psci_server::Entry;

    use super::*;
    use crate::Happened;

    #[test]
    fn it_waits_for_quiet_but_neither_for_ever_nor_until_the_ring_is_full() {
        let pace = Pace { quiet: 20, oldest: 200 };
        let ring = Ring::new([const { Slot::EMPTY }; 8]);
        assert_eq!(pace.due(&ring, 5), None);
        let entered = |ticks| Happened::entered(0, ticks, Entry { address: 0, context_id: 0 });
        ring.push(&entered(100));
        assert_eq!(pace.due(&ring, 100), Some(120));
        ring.push(&entered(110));
        assert_eq!(pace.due(&ring, 110), Some(130));
        ring.push(&entered(290));
        assert_eq!(pace.due(&ring, 290), Some(300), "the oldest does not wait for the latest");
        ring.push(&entered(291));
        assert_eq!(pace.due(&ring, 291), Some(291), "half of the ring is much");
    }
}
