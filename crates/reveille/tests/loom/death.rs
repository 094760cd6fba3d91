//! A CPU that goes down, and one that comes back because it cannot.

use loom::thread;
use reveille::rendezvous::{Lost, State};

use crate::shared::{FILLED, REUSED, Shared, USED, online};

/// What a dying CPU that firmware refuses to switch off comes to: back online, or parked.
fn die_and_revive(shared: &Shared) -> Result<(), Lost> {
    let word = shared.word();
    shared.memory.set(USED);
    word.report_dead()?;
    let generation = word.revive()?;
    assert_eq!(shared.memory.get(), USED);
    shared.memory.set(USED);
    word.come_online(generation)
}

#[test]
fn a_dying_cpu_is_taken_for_off_or_comes_back_and_never_both() {
    loom::model(|| {
        let shared = online();
        let dying = {
            let shared = shared.clone();
            thread::spawn(move || die_and_revive(&shared))
        };
        let confirmed = shared.word().confirm_off();
        if confirmed.is_ok() {
            // Its memory may be another's now.
            shared.memory.set(REUSED);
        }
        let came_back = dying.join().unwrap();
        let (expected, state) = match confirmed {
            Ok(()) => (Err(Lost(State::Offline)), State::Offline),
            Err(_) => (Ok(()), State::Online),
        };
        assert_eq!((came_back, shared.word().state()), (expected, state));
    });
}

#[test]
fn what_a_dying_cpu_wrote_last_is_visible_to_who_takes_it_for_off() {
    loom::model(|| {
        let shared = online();
        let dying = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.memory.set(USED + 1);
                shared.word().report_dead().unwrap();
            })
        };
        if shared.word().confirm_off().is_ok() {
            assert_eq!(shared.memory.get(), USED + 1);
            // And a new kick finds the CPU off.
            shared.memory.set(FILLED);
            assert!(shared.word().kick().is_ok());
        }
        dying.join().unwrap();
    });
}

#[test]
fn a_cpu_that_came_back_has_died_only_once_it_says_so_again() {
    loom::model(|| {
        let shared = online();
        let dying = {
            let shared = shared.clone();
            thread::spawn(move || {
                die_and_revive(&shared)?;
                shared.memory.set(USED);
                shared.word().report_dead().map(|_| ())
            })
        };
        for _ in 0..2 {
            if shared.word().confirm_off().is_ok() {
                shared.memory.set(REUSED);
                break;
            }
        }
        let ended = dying.join().unwrap();
        let state = shared.word().state();
        assert!(matches!((ended, state), (Ok(()), State::Dead | State::Offline) | (Err(_), State::Offline)));
    });
}
