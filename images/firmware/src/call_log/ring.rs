//! A ring that any CPU adds to without waiting for another, and that one at a time takes out of. It keeps the latest.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::{Call, Happened, What};
use psci_server::Entry;

/// How much is kept.
pub const CAPACITY: usize = 4096;
const WORDS: usize = 7;

/// The second word: the CPU, the target and one, and what it is.
const TARGET_SHIFT: u32 = 16;
const FIELD: u64 = 0xffff;
const ENTERED: u64 = 1 << 32;
const ANSWERED: u64 = 1 << 33;
const FAULTY: u64 = 1 << 34;

struct Slot {
    /// The number of what it holds, from 1; 0 while that is written.
    stamp: AtomicUsize,
    words: [AtomicU64; WORDS],
}

/// The ring.
pub struct Ring {
    slots: [Slot; CAPACITY],
    /// How many were added in all, and how many have been taken out or passed over.
    end: AtomicUsize,
    begin: AtomicUsize,
}

impl Ring {
    /// An empty one.
    pub const fn new() -> Self {
        let slots =
            [const { Slot { stamp: AtomicUsize::new(0), words: [const { AtomicU64::new(0) }; WORDS] } }; CAPACITY];
        Self { slots, end: AtomicUsize::new(0), begin: AtomicUsize::new(0) }
    }

    /// Adds. Returns how many there are now.
    pub fn push(&self, happened: &Happened) -> usize {
        let place = self.end.fetch_add(1, Ordering::SeqCst);
        let slot = &self.slots[place % CAPACITY];
        slot.stamp.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in slot.words.iter().zip(encode(happened)) {
            word.store(value, Ordering::Relaxed);
        }
        slot.stamp.store(place + 1, Ordering::Release);
        place + 1 - self.begin.load(Ordering::Relaxed).min(place)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.end.load(Ordering::SeqCst) - self.begin.load(Ordering::Relaxed)
    }

    /// When the oldest and the latest happened, if there are any.
    pub fn times(&self) -> Option<(u64, u64)> {
        let (begin, end) = (self.begin.load(Ordering::Relaxed), self.end.load(Ordering::SeqCst));
        let time = |place: usize| self.slots[place % CAPACITY].words[0].load(Ordering::Relaxed);
        (begin < end).then(|| (time(begin), time(end - 1)))
    }

    /// Takes the oldest out, and says how many before it were overwritten. `None` where there is none, or it is just being written.
    pub fn pop(&self) -> Option<(Happened, usize)> {
        let end = self.end.load(Ordering::SeqCst);
        let first = self.begin.load(Ordering::Relaxed);
        let mut begin = first.max(end.saturating_sub(CAPACITY));
        while begin < end {
            let slot = &self.slots[begin % CAPACITY];
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp < begin + 1 {
                break;
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
        let call = Call { registers: [x0, x1, x2, x3], ticks, target, faulty: marks & FAULTY != 0 };
        What::Called { call, code: (marks & ANSWERED != 0).then_some(code) }
    };
    Happened { ticks, cpu: (marks & FIELD) as usize, what }
}
