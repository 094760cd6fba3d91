//! What a request to take a CPU up or down comes to besides success, and that a later one is none the worse.

use std::time::Duration;

use reveille::hotplug::{Direction, HotplugError, HotplugState, Section, Step, StepTable};
use reveille::{CpuIndex, FirmwareState, Outcome, Smp};
use reveille_sim::{Machine, Parking};

use super::{STEPS, failure, fault, on_machines};

/// Long enough for everything to have arrived, parked and gone off.
const LATER: Duration = Duration::from_secs(10);

#[test]
fn off_denied_brings_the_cpu_back_to_where_it_was() {
    on_machines(|control| {
        for state in [8, 7, 6].map(HotplugState) {
            let _ = control.set_state(1, state);
            control.inject(fault("cpu1:off-denied:-3"));
            let Err(HotplugError::DieRefused(error)) = control.cpu_down(1) else { panic!("it is off") };
            assert_eq!((error.call, error.code, error.meaning), ("CPU_OFF", -3, "DENIED"));
            assert_eq!(control.state(1), state);
            control.mend(1);
        }
        assert_eq!(control.cpu_down(1), Ok(None));
    });
}

#[test]
fn a_cpu_that_is_denied_and_cannot_be_brought_back_is_said_to_be_where_it_is() {
    on_machines(|control| {
        control.inject(fault("cpu1:off-denied:-3"));
        control.inject(fault("cpu1:fails:active"));
        let not_undone = HotplugError::NotUndone { failure: failure("active", Direction::Up), state: "ap:online" };
        assert_eq!(control.cpu_down(1), Err(not_undone));
        assert_eq!(control.state(1), HotplugState(6));
        control.mend(1);
        assert_eq!(control.cpu_up(1), Ok(()));
    });
}

#[test]
fn a_teardown_that_was_passed_over_is_told_once_and_not_by_a_later_request() {
    on_machines(|control| {
        control.inject(fault("cpu1:fails-down:timer"));
        assert_eq!(control.cpu_down(1), Ok(Some(failure("timer", Direction::Down))));
        assert_eq!(control.cpu_up(1), Ok(()));
        control.inject(fault("cpu1:off-denied:-3"));
        assert!(matches!(control.cpu_down(1), Err(HotplugError::DieRefused(_))));
        control.mend(1);
        assert_eq!(control.cpu_down(1), Ok(None));
    });
}

#[test]
fn a_cpu_that_says_off_and_is_not_is_named_and_is_taken_for_off_once_firmware_says_so() {
    on_machines(|control| {
        control.inject(fault("cpu1:stays-on:5s"));
        let start = control.now();
        assert_eq!(control.cpu_down(1), Err(HotplugError::NotOff(FirmwareState::On)));
        let took = Duration::from_nanos(control.now().nanos_since(start));
        assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(1_020) + control.slack(), "{took:?}");
        assert!(!control.smp().masks.online.contains(CpuIndex::new(1).unwrap()));
        assert_eq!(control.cpu_up(1), Err(HotplugError::NotOff(FirmwareState::On)));
        control.sleep(LATER);
        assert_eq!(control.cpu_up(1), Ok(()));
    });
}

#[test]
fn a_teardown_that_does_not_end_is_named_and_the_others_go_on() {
    on_machines(|control| {
        for (cpu, step) in [(1, "worker"), (2, "timer")] {
            control.inject(fault(&format!("cpu{cpu}:stops-down:{step}")));
            assert_eq!(control.cpu_down(cpu), Err(HotplugError::Hung(step)));
            assert_eq!(control.cpu_up(cpu), Err(HotplugError::StillRunning(step)));
        }
    });
}

#[test]
fn a_startup_that_does_not_end_is_named_and_leaves_the_cpu_there() {
    on_machines(|control| {
        control.cpu_down(1).unwrap();
        control.inject(fault("cpu1:panics:worker"));
        assert_eq!(control.cpu_up(1), Err(HotplugError::Hung("worker")));
        assert_eq!(control.state(1), HotplugState(6));
        assert_eq!(control.cpu_down(1), Err(HotplugError::StillRunning("worker")));
        assert_eq!((control.cpu_down(2), control.cpu_up(2)), (Ok(None), Ok(())));
    });
}

#[test]
fn a_thread_that_does_not_answer_has_its_order_taken_back() {
    on_machines(|control| {
        control.inject(fault("cpu1:deaf"));
        assert_eq!(control.cpu_down(1), Err(HotplugError::NoAnswer));
        assert_eq!(control.state(1), HotplugState(8));
        control.mend(1);
        // It finds nothing to do, however late it wakes.
        assert_eq!(control.cpu_up(1), Err(HotplugError::AlreadyThere("active")));
        assert_eq!(control.cpu_down(1), Ok(None));
    });
}

/// A step that fails after everybody has stopped waiting for it.
#[test]
fn a_startup_that_fails_too_late_is_not_told_by_a_later_request() {
    for seed in 0..20 {
        let slow = std::sync::atomic::AtomicBool::new(false);
        let startup = |_| {
            if slow.load(std::sync::atomic::Ordering::Relaxed) {
                reveille_sim::pause(Duration::from_secs(2));
                return Err(super::TOLD_TO_FAIL);
            }
            Ok(())
        };
        let step = Step::new(Section::Online, 5, "slow").startup(&startup);
        Machine::builder(2).seed(seed).steps(&STEPS).step(&step).build().run(|control| {
            control.boot();
            control.cpu_down(1).unwrap();
            slow.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(control.cpu_up(1), Err(HotplugError::Hung("slow")));
            control.sleep(LATER);
            assert_eq!(control.state(1), HotplugState(6), "it was undone");
            slow.store(false, std::sync::atomic::Ordering::Relaxed);
            assert_eq!((control.cpu_up(1), control.cpu_down(1)), (Ok(()), Ok(None)));
        });
    }
}

#[test]
fn row_55_a_late_cpu_is_adopted_on_request_whether_it_is_on_its_way_or_parked() {
    for seed in 0..60 {
        Machine::builder(2).seed(seed).steps(&STEPS).fault(fault("cpu1:late:1500ms")).build().run(|control| {
            let boot = control.boot();
            assert!(matches!(boot.outcomes[1], Outcome::TimedOut(FirmwareState::OnPending)), "{boot:?}");
            assert_eq!(control.state(1), HotplugState::OFFLINE);
            // From long before it arrives to long after.
            control.sleep(Duration::from_millis(seed * 15));
            control.mend(1);
            assert_eq!(control.cpu_up(1), Ok(()));
        });
    }
}

/// It sleeps, firmware says that it is on, and nothing can be done: in time, and with its memory its own.
#[test]
fn a_late_cpu_that_sleeps_is_waited_for_and_given_up() {
    let machine = Machine::builder(2).steps(&STEPS).fault(fault("cpu1:late:1500ms")).parking(Parking::Asleep);
    machine.build().run(|control| {
        control.boot();
        control.sleep(LATER);
        let timed_out = HotplugError::NotUp(Outcome::TimedOut(FirmwareState::On));
        assert_eq!(control.cpu_up(1), Err(timed_out));
        assert_eq!(control.cpu_up(1), Err(timed_out));
    });
}

#[test]
fn row_54_dead_cpus_cost_one_deadline_together() {
    for seed in 0..10 {
        let dead = (1..8).map(|cpu| fault(&format!("cpu{cpu}:dead")));
        Machine::builder(16).seed(seed).steps(&STEPS).faults(dead).build().run(|control| {
            let start = control.now();
            assert_eq!(control.boot().online(), 9);
            let took = Duration::from_nanos(control.now().nanos_since(start));
            assert!(took < Duration::from_millis(1_150) + control.slack() + Duration::from_millis(20), "{took:?}");
        });
    }
}

#[test]
fn a_cpu_that_has_passed_all_steps_of_a_full_table_is_at_none() {
    let steps: Vec<_> = (0..64).map(|order| Step::new(Section::Online, order, "step")).collect();
    let table = StepTable::collect(&steps).unwrap();
    let smp = Smp::new();
    smp.masks.boot_cpu_init();
    let hotplug = reveille::hotplug::Hotplug::new(&smp, &table);
    hotplug.advance_boot_cpu(table.online()).unwrap();
    assert_eq!(hotplug.step_at(CpuIndex::BOOT), None);
}
