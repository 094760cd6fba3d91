//! Per-CPU traces: [`Ring`]s of [`Event`]s, each with a time and a [`Name`] from a table of the caller's.
//!
//! A ring belongs to one CPU, which writes it with a few plain stores and may do so from interrupt handlers; any CPU may read it at
//! any time, also after its owner has died, which is when it is worth most. A system that makes no ring pays nothing.

use crate::sync::{AtomicU32, Ordering};

/// A name in a trace, as an index into the caller's table of names. [`names!`](crate::names) makes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub u16);

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A span begins: a function is entered.
    Begin,
    /// The innermost span ends.
    End,
    /// Something happened at one moment.
    Instant,
}

/// One event of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in ticks of whatever clock the caller uses for all rings.
    pub time: u64,
    /// What kind of event.
    pub kind: Kind,
    /// What it is about.
    pub name: Name,
    /// A number that belongs to it (0 where none does): the index of the CPU that was kicked, say.
    pub value: u32,
}

/// Room for one event: 16 bytes.
#[derive(Default)]
pub struct Entry {
    time_low: AtomicU32,
    time_high: AtomicU32,
    /// The name in bits 15:0, the kind above it, bit 31 set in an entry that was written.
    what: AtomicU32,
    value: AtomicU32,
}

const WRITTEN: u32 = 1 << 31;

impl Entry {
    crate::sync::const_unless_loom! {
        /// An entry that was not written.
        #[must_use]
        pub fn new() -> Self {
            Self {
                time_low: AtomicU32::new(0),
                time_high: AtomicU32::new(0),
                what: AtomicU32::new(0),
                value: AtomicU32::new(0),
            }
        }
    }

    fn store(&self, event: Event) {
        self.time_low.store(event.time as u32, Ordering::Relaxed);
        self.time_high.store((event.time >> 32) as u32, Ordering::Relaxed);
        self.value.store(event.value, Ordering::Relaxed);
        self.what.store(WRITTEN | (event.kind as u32) << 16 | u32::from(event.name.0), Ordering::Release);
    }

    fn load(&self) -> Option<Event> {
        let what = self.what.load(Ordering::Acquire);
        let kind = match (what >> 16) & 0x7fff {
            0 => Kind::Begin,
            1 => Kind::End,
            _ => Kind::Instant,
        };
        (what & WRITTEN != 0).then(|| Event {
            time: u64::from(self.time_high.load(Ordering::Relaxed)) << 32
                | u64::from(self.time_low.load(Ordering::Relaxed)),
            kind,
            name: Name(what as u16),
            value: self.value.load(Ordering::Relaxed),
        })
    }
}

/// The trace of one CPU. When it is full the oldest events make room.
pub struct Ring<'a> {
    entries: &'a [Entry],
    /// How many events were ever written.
    written: AtomicU32,
}

impl<'a> Ring<'a> {
    crate::sync::const_unless_loom! {
        /// A ring without room, which drops every event.
        #[must_use]
        pub fn without_room() -> Self {
            Self { entries: &[], written: AtomicU32::new(0) }
        }
    }

    crate::sync::const_unless_loom! {
        /// An empty ring with room for as many events as `entries` has.
        #[must_use]
        pub fn new(entries: &'a [Entry]) -> Self {
            Self { entries, written: AtomicU32::new(0) }
        }
    }

    /// Writes an event. On the ring's own CPU only, with its MMU and caches on.
    #[inline]
    pub fn record(&self, event: Event) {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        if !self.entries.is_empty() {
            self.entries[number as usize % self.entries.len()].store(event);
        }
    }

    /// How many events were lost because newer ones needed their room.
    #[must_use]
    pub fn lost(&self) -> usize {
        (self.written.load(Ordering::Relaxed) as usize).saturating_sub(self.entries.len())
    }

    /// The events, oldest first. One that is being written at this moment may come out mixed with the one it replaces.
    pub fn events(&self) -> impl Iterator<Item = Event> + use<'a> {
        let entries = self.entries;
        let written = self.written.load(Ordering::Acquire) as usize;
        let count = written.min(entries.len());
        (written - count..written).filter_map(move |number| entries[number % entries.len()].load())
    }
}

/// Makes a table of names and a [`Name`] constant for each: `names! { pub LINUX: start_kernel, boot_cpu_init }` defines
/// `LINUX: &[&str]` and a module of the names, under their own spelling in lower case.
#[macro_export]
macro_rules! names {
    ($(#[$meta:meta])* $vis:vis $table:ident in $module:ident: $($name:ident),+ $(,)?) => {
        $(#[$meta])*
        $vis const $table: &[&str] = &[$(stringify!($name)),+];
        /// The names of the table, as constants.
        #[allow(non_upper_case_globals, missing_docs, dead_code)]
        $vis mod $module {
            #[allow(non_camel_case_types)]
            #[repr(u16)]
            enum Position { $($name),+ }
            $(pub const $name: $crate::trace::Name = $crate::trace::Name(Position::$name as u16);)+
        }
    };
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    crate::names! { TABLE in name: start_kernel, secondary_entry }

    fn event(time: u64) -> Event {
        Event { time, kind: Kind::Instant, name: name::secondary_entry, value: 7 }
    }

    #[test]
    fn names_find_their_text() {
        assert_eq!(TABLE[name::start_kernel.0 as usize], "start_kernel");
        assert_eq!(TABLE[name::secondary_entry.0 as usize], "secondary_entry");
    }

    #[test]
    fn keeps_the_newest_events_whole() {
        let entries: [Entry; 4] = Default::default();
        let ring = Ring::new(&entries);
        assert_eq!(ring.events().count(), 0);
        for time in 0..6 {
            ring.record(event(u64::MAX - time));
        }
        assert_eq!(ring.lost(), 2);
        let events: Vec<_> = ring.events().collect();
        assert_eq!(events, [2, 3, 4, 5].map(|time| event(u64::MAX - time)));
    }

    #[test]
    fn kinds_survive() {
        let entries: [Entry; 3] = Default::default();
        let ring = Ring::new(&entries);
        let kinds = [Kind::Begin, Kind::End, Kind::Instant];
        for kind in kinds {
            ring.record(Event { kind, ..event(0) });
        }
        assert!(ring.events().map(|event| event.kind).eq(kinds));
    }

    #[test]
    fn a_ring_without_room_drops() {
        let ring = Ring::without_room();
        ring.record(event(1));
        assert_eq!((ring.events().count(), ring.lost()), (0, 1));
    }
}
