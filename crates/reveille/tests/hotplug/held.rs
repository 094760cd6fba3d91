//! CPUs that are held half-way.

use reveille::hotplug::{HotplugError, HotplugState, Section, Step};
use reveille::rendezvous::State;
use reveille::{CpuIndex, Outcome};
use reveille_sim::Machine;

use super::{STEPS, on_machines};

#[test]
fn a_cpu_is_held_at_every_state_it_may_be_held_at_and_goes_on_from_there() {
    on_machines(|control| {
        let steps = control.hotplug().steps();
        let states: Vec<_> = (0..=8).map(HotplugState).filter(|&state| steps.can_hold(state)).collect();
        assert_eq!(states, [0, 1, 2, 6, 7, 8].map(HotplugState));
        let claim = control.smp().claim_word(CpuIndex::new(1).unwrap());
        for from in states.clone() {
            for &to in &states {
                let there = control.state(1);
                if from != there {
                    assert_eq!(control.set_state(1, from), Ok(None));
                }
                let expected = if from == to { Err(HotplugError::AlreadyThere(steps.name(to))) } else { Ok(None) };
                assert_eq!((control.set_state(1, to), control.state(1)), (expected, to));
                let online = to >= steps.ap_online();
                assert_eq!(claim.state(), if online { State::Online } else { State::Offline });
            }
        }
    });
}

#[test]
fn no_cpu_is_held_where_it_starts_or_where_a_step_says_so() {
    let unstoppable = Step::new(Section::Online, 9, "unstoppable").cant_stop();
    let last = Step::new(Section::Online, 10, "last");
    Machine::builder(2).steps(&STEPS).step(&unstoppable).step(&last).build().run(|control| {
        control.boot();
        for state in [3, 4, 5, 9, 11, 66, u16::MAX].map(HotplugState) {
            assert_eq!(control.set_state(1, state), Err(HotplugError::CannotHold(state)));
        }
        assert_eq!(control.state(1), HotplugState(10));
    });
}

#[test]
fn a_bring_up_takes_cpus_that_are_held_before_they_run_the_rest_of_the_way() {
    on_machines(|control| {
        control.cpu_down(1).unwrap();
        control.set_state(2, HotplugState(1)).unwrap();
        let mut outcomes = [Outcome::NotAsked; 3];
        assert_eq!(control.bring_up(&mut outcomes).map(|summary| summary.online), Ok(3));
        assert_eq!([1, 2].map(|cpu| control.state(cpu)), [HotplugState(8); 2]);
    });
}

/// Threads of the boot CPU do its ONLINE steps too.
#[test]
fn the_boot_cpu_is_held_among_its_online_steps() {
    on_machines(|control| {
        assert_eq!((control.set_state(0, HotplugState(6)), control.state(0)), (Ok(None), HotplugState(6)));
        assert_eq!((control.cpu_up(0), control.state(0)), (Ok(()), HotplugState(8)));
    });
}
