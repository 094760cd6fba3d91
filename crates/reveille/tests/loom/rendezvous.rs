//! Claims: who wins, what the winner sees, and claims that are opened again.

use loom::thread;
use reveille::ContextId;
use reveille::rendezvous::{Lost, State};

use crate::shared::{Came, FILLED, REUSED, Shared, USED, cpu, spawn};

#[test]
fn what_was_written_before_the_kick_is_visible_after_the_claim() {
    loom::model(|| {
        let shared = Shared::new();
        let new_cpu = spawn(&shared);
        shared.memory.set(FILLED);
        shared.start();
        let came = new_cpu.join().unwrap();
        assert!(matches!(came, Came::NotStarted | Came::Online));
    });
}

#[test]
fn what_was_written_before_online_is_visible_to_who_sees_the_state() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        shared.start();
        let new_cpu = spawn(&shared);
        if shared.word().state() == State::Online {
            assert_eq!(shared.memory.get(), USED);
        }
        assert_eq!(new_cpu.join().unwrap(), Came::Online);
    });
}

#[test]
fn what_was_written_before_online_is_visible_to_who_sees_the_mask() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        shared.start();
        let new_cpu = spawn(&shared);
        if shared.smp.masks.online.contains(cpu()) {
            assert_eq!(shared.word().state(), State::Online);
            assert_eq!(shared.memory.get(), USED);
        }
        assert_eq!(new_cpu.join().unwrap(), Came::Online);
        assert!(shared.smp.masks.online.contains(cpu()));
    });
}

#[test]
fn row_55_exactly_one_wins_and_the_loser_changes_nothing() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let generation = shared.start().generation();
        let new_cpu = spawn(&shared);
        let given_up = shared.word().abandon(generation);
        match given_up {
            // The memory may be another's now: a write of the new CPU's would race with this one.
            Ok(State::Kicked) => shared.memory.set(REUSED),
            Err(Lost(State::Online)) => assert_eq!(shared.memory.get(), USED),
            _ => {}
        }
        let came = new_cpu.join().unwrap();
        let (expected, state) = match came {
            Came::LostClaim(State::Abandoned) => (Ok(State::Kicked), State::Abandoned),
            Came::LostOnline(State::Stuck) => (Ok(State::Claimed), State::Stuck),
            Came::Online => (Err(Lost(State::Online)), State::Online),
            came => panic!("{came:?}"),
        };
        assert_eq!((given_up, shared.word().state()), (expected, state));
        assert_eq!(shared.smp.masks.online.contains(cpu()), came == Came::Online);
    });
}

#[test]
fn a_kick_is_withdrawn_or_claimed_and_a_claim_is_never_made_stuck() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let generation = shared.start().generation();
        let new_cpu = spawn(&shared);
        let withdrawn = shared.word().withdraw(generation);
        if withdrawn.is_ok() {
            shared.memory.set(REUSED);
        }
        match new_cpu.join().unwrap() {
            Came::LostClaim(State::Abandoned) => assert_eq!(withdrawn, Ok(())),
            Came::Online => assert!(matches!(withdrawn, Err(Lost(State::Claimed | State::Online)))),
            came => panic!("{came:?}"),
        }
    });
}

#[test]
fn row_55_an_old_generation_never_claims_a_new_kick() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let old = shared.start();
        let late = {
            let shared = shared.clone();
            thread::spawn(move || shared.come_up(old))
        };
        let given_up = shared.word().abandon(old.generation());
        let new_cpu = match shared.word().kick() {
            Ok(generation) => {
                assert_eq!(given_up, Ok(State::Kicked));
                let (shared, context) = (shared.clone(), ContextId::new(cpu(), generation));
                Some(thread::spawn(move || shared.come_up(context)))
            }
            Err(Lost(state)) => {
                assert!(matches!(state, State::Stuck | State::Online));
                None
            }
        };
        let late = late.join().unwrap();
        match new_cpu.map(|cpu| cpu.join().unwrap()) {
            Some(came) => {
                assert_eq!(came, Came::Online);
                assert!(matches!(late, Came::LostClaim(_)));
            }
            None => assert!(matches!(late, Came::LostOnline(State::Stuck) | Came::Online)),
        }
    });
}

/// Of two CPUs that come with one context id (firmware that starts a CPU twice) one claims.
#[test]
fn a_kick_is_claimed_once() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        shared.start();
        let (first, second) = (spawn(&shared), spawn(&shared));
        let came = [first.join().unwrap(), second.join().unwrap()];
        assert_eq!(came.iter().filter(|&&came| came == Came::Online).count(), 1, "{came:?}");
    });
}

/// Its memory was another's in between, and is its own again before it may claim.
#[test]
fn row_55_a_late_cpu_claims_what_was_reopened_or_nothing() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let context = shared.start();
        let late = {
            let shared = shared.clone();
            thread::spawn(move || shared.come_up(context))
        };
        if shared.word().abandon(context.generation()) == Ok(State::Kicked) {
            shared.memory.set(REUSED);
            shared.memory.set(FILLED);
            assert_eq!(shared.word().reopen(), Ok(context.generation()));
        }
        let (came, state) = (late.join().unwrap(), shared.word().state());
        let agreed = match came {
            Came::Online => state == State::Online,
            // It looked while it was abandoned, and has parked. Whoever waits for it asks firmware.
            Came::LostClaim(State::Abandoned) => state == State::Kicked,
            Came::LostOnline(State::Stuck) => state == State::Stuck,
            _ => false,
        };
        assert!(agreed, "{came:?}, {state:?}");
    });
}

#[test]
fn row_55_a_reopened_kick_is_given_up_again_or_claimed() {
    loom::model(|| {
        let shared = Shared::new();
        let context = shared.start();
        shared.word().abandon(context.generation()).unwrap();
        shared.memory.set(FILLED);
        let generation = shared.word().reopen().unwrap();
        let late = spawn(&shared);
        let given_up = shared.word().abandon(generation);
        if given_up == Ok(State::Kicked) {
            shared.memory.set(REUSED);
        }
        let expected = match late.join().unwrap() {
            Came::LostClaim(State::Abandoned) => Ok(State::Kicked),
            Came::LostOnline(State::Stuck) => Ok(State::Claimed),
            Came::Online => Err(Lost(State::Online)),
            came => panic!("{came:?}"),
        };
        assert_eq!(given_up, expected);
    });
}
