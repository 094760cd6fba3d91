//! A ring that any CPU adds to without waiting for another, and that one at a time takes out of. It keeps the latest.
//!
//! A CPU that was held up until the others had come round the ring to its slot, or finds such a one in it, gives its own up: the slot's
//! `skipped` says so to whoever takes out.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use psci_server::Entry;

use super::{Call, Happened, What};

const WORDS: usize = 7;
const BUSY: usize = usize::MAX;

/// The second word: the CPU, the target and one, and what it is.
const TARGET_SHIFT: u32 = 16;
const FIELD: u64 = 0xffff;
const ENTERED: u64 = 1 << 32;
const ANSWERED: u64 = 1 << 33;
const FAULTY: u64 = 1 << 34;

/// The place of one.
#[derive(Debug)]
pub struct Slot {
    /// The number of what it holds, from 1; 0 at first, and [`BUSY`] while that is written.
    stamp: AtomicUsize,
    /// The number of the last that was given up, from 1.
    skipped: AtomicUsize,
    words: [AtomicU64; WORDS],
}

impl Slot {
    /// With nothing in it.
    // Every use of it is a new slot.
    #[allow(clippy::declare_interior_mutable_const)]
    pub const EMPTY: Self =
        Self { stamp: AtomicUsize::new(0), skipped: AtomicUsize::new(0), words: [const { AtomicU64::new(0) }; WORDS] };

    /// Writes the one with this number, unless another is in the way: whether it did.
    // It is part of every call: out of line the words would be copied once more.
    #[inline]
    fn write(&self, number: usize, words: [u64; WORDS]) -> bool {
        let stamp = self.stamp.load(Ordering::Relaxed);
        // That of one that is being written is greater than any.
        if stamp > number || self.stamp.compare_exchange(stamp, BUSY, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.stamp.store(number, Ordering::Release);
        true
    }
}

/// The ring, around an array or a box of [`Slot`]s, of which there is at least one.
#[derive(Debug)]
pub struct Ring<S> {
    slots: S,
    /// How many were added in all, and how many have been taken out or passed over.
    end: AtomicUsize,
    begin: AtomicUsize,
}

impl<S> Ring<S> {
    /// An empty one.
    pub const fn new(slots: S) -> Self {
        Self { slots, end: AtomicUsize::new(0), begin: AtomicUsize::new(0) }
    }
}

impl<S: AsRef<[Slot]>> Ring<S> {
    fn slot(&self, place: usize) -> &Slot {
        let slots = self.slots.as_ref();
        &slots[place % slots.len()]
    }

    /// From how many on it is to be emptied soon.
    pub fn much(&self) -> usize {
        self.slots.as_ref().len() / 2
    }

    /// Adds. Returns how many there are now.
    pub fn push(&self, happened: &Happened) -> usize {
        let place = self.end.fetch_add(1, Ordering::SeqCst);
        let slot = self.slot(place);
        if !slot.write(place + 1, encode(happened)) {
            slot.skipped.fetch_max(place + 1, Ordering::Release);
        }
        place + 1 - self.begin.load(Ordering::Relaxed).min(place)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.end.load(Ordering::SeqCst) - self.begin.load(Ordering::Relaxed)
    }

    /// When the oldest and the latest happened, if there are any.
    pub fn times(&self) -> Option<(u64, u64)> {
        let (begin, end) = (self.begin.load(Ordering::Relaxed), self.end.load(Ordering::SeqCst));
        let time = |place: usize| self.slot(place).words[0].load(Ordering::Relaxed);
        (begin < end).then(|| (time(begin), time(end - 1)))
    }

    /// Takes the oldest out, and says how many before it were overwritten. `None` where there is none, or it is just being written.
    pub fn pop(&self) -> Option<(Happened, usize)> {
        let end = self.end.load(Ordering::SeqCst);
        let first = self.begin.load(Ordering::Relaxed);
        let mut begin = first.max(end.saturating_sub(self.slots.as_ref().len()));
        while begin < end {
            let slot = self.slot(begin);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == BUSY || stamp < begin + 1 {
                if slot.skipped.load(Ordering::Acquire) < begin + 1 {
                    break;
                }
                begin += 1;
                continue;
            }
            let words = slot.words.each_ref().map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            begin += 1;
            if slot.stamp.load(Ordering::Relaxed) == begin {
                self.begin.store(begin, Ordering::Relaxed);
                return Some((decode(words), begin - 1 - first));
            }
        }
        None
    }
}

#[inline]
fn encode(happened: &Happened) -> [u64; WORDS] {
    let cpu = happened.cpu as u64;
    match happened.what {
        What::Entered(entry) => [happened.ticks, cpu | ENTERED, entry.address, entry.context_id, 0, 0, 0],
        What::Called { call, code } => {
            let target = call.target.map_or(0, |target| target as u64 + 1) << TARGET_SHIFT;
            let answered = if code.is_some() { ANSWERED } else { 0 };
            let faulty = if call.faulty { FAULTY } else { 0 };
            let [x0, x1, x2, x3] = call.registers;
            [happened.ticks, cpu | target | answered | faulty, x0, x1, x2, x3, code.unwrap_or(0)]
        }
    }
}

fn decode([ticks, marks, x0, x1, x2, x3, code]: [u64; WORDS]) -> Happened {
    let what = if marks & ENTERED != 0 {
        What::Entered(Entry { address: x0, context_id: x1 })
    } else {
        let target = ((marks >> TARGET_SHIFT & FIELD) as usize).checked_sub(1);
        let call = Call { registers: [x0, x1, x2, x3], target, faulty: marks & FAULTY != 0 };
        What::Called { call, code: (marks & ANSWERED != 0).then_some(code) }
    };
    Happened { ticks, cpu: (marks & FIELD) as usize, what }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn call(cpu: usize, ticks: u64) -> Happened {
        let call = Call { registers: [ticks, !0, 2, 3], target: Some(cpu + 1), faulty: ticks.is_multiple_of(3) };
        Happened { ticks, cpu, what: What::Called { call, code: ticks.is_multiple_of(2).then_some(!ticks) } }
    }

    #[test]
    fn what_is_added_is_taken_out_in_its_order() {
        let ring = Ring::new([const { Slot::EMPTY }; 4]);
        let all = [call(0, 6), call(511, 7), Happened::entered(3, 8, Entry { address: !0, context_id: 1 })];
        for one in &all {
            ring.push(one);
        }
        assert_eq!((ring.count(), ring.times()), (3, Some((6, 8))));
        assert_eq!(all.map(|one| ring.pop() == Some((one, 0))), [true; 3]);
        assert_eq!((ring.pop(), ring.count(), ring.times()), (None, 0, None));
    }

    #[test]
    fn the_latest_are_kept_and_the_others_counted() {
        let ring = Ring::new([const { Slot::EMPTY }; 4]);
        for ticks in 0..11 {
            ring.push(&call(0, ticks));
        }
        assert_eq!(ring.pop(), Some((call(0, 7), 7)));
        assert_eq!(ring.pop(), Some((call(0, 8), 0)));
    }

    #[test]
    fn none_is_made_up_or_lost_uncounted_while_many_add() {
        const EACH: u64 = 20_000;
        let ring = Ring::new([const { Slot::EMPTY }; 64]);
        let (mut taken, mut lost) = (Vec::new(), 0);
        std::thread::scope(|scope| {
            let add = |cpu| {
                for ticks in 1..=EACH {
                    ring.push(&call(cpu, ticks));
                }
            };
            let adders: Vec<_> = (0..3).map(|cpu| scope.spawn(move || add(cpu))).collect();
            loop {
                let over = adders.iter().all(|adder| adder.is_finished());
                while let Some((one, before)) = ring.pop() {
                    taken.push(one);
                    lost += before;
                }
                if over {
                    break;
                }
            }
        });
        assert!(taken.iter().all(|one| *one == call(one.cpu, one.ticks)));
        assert_eq!(taken.len() + lost, 3 * EACH as usize);
    }
}
