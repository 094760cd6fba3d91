//! What is refused before anything is done, and requests that come at once.

use reveille::SmpOptions;
use reveille::hotplug::{Direction, HotplugError, HotplugState};
use reveille_sim::{Control, Machine, Request};

use super::{STEPS, TOLD_TO_FAIL, failure, fault, on_machines};

#[test]
fn the_last_cpu_the_boot_cpu_and_one_without_cpu_off_stay() {
    on_machines(|control| {
        control.inject(fault("cpu1:no-off"));
        for (cpu, reason) in [(0, "it is the boot CPU"), (1, "NOT_SUPPORTED")] {
            let Err(HotplugError::CannotDie(error)) = control.cpu_down(cpu) else { panic!("CPU {cpu} goes") };
            assert_eq!(error.meaning, reason);
            assert_eq!(control.state(cpu), HotplugState(8));
        }
        control.mend(1);
        control.cpu_down(1).unwrap();
        control.cpu_down(2).unwrap();
        assert_eq!(control.cpu_down(0), Err(HotplugError::LastCpu));
    });
}

#[test]
fn a_cpu_that_is_not_present_or_there_already_is_said_to_be() {
    on_machines(|control| {
        assert_eq!(control.cpu_up(1), Err(HotplugError::AlreadyThere("active")));
        control.cpu_down(1).unwrap();
        assert_eq!(control.cpu_down(1), Err(HotplugError::AlreadyThere("offline")));
        for cpu in [3, 511] {
            assert_eq!(control.cpu_up(cpu), Err(HotplugError::NotPresent));
            assert_eq!(control.cpu_down(cpu), Err(HotplugError::NotPresent));
        }
    });
    let nosmp = SmpOptions::from_command_line("nosmp");
    Machine::builder(2).steps(&STEPS).options(nosmp).build().run(|control| {
        assert_eq!(control.boot().online(), 1);
        assert_eq!(control.cpu_up(1), Err(HotplugError::NotPresent));
    });
}

#[test]
fn errors_have_the_numbers_of_linux() {
    on_machines(|control| {
        let errno = |result: Result<_, HotplugError>| result.map_err(|error| error.errno());
        let (ebusy, einval) = (Err(-16), Err(-22));
        assert_eq!(errno(control.cpu_up(1).map(|()| None)), einval);
        assert_eq!(errno(control.cpu_down(3)), einval);
        control.inject(fault("cpu1:fails-down:worker"));
        assert_eq!(errno(control.cpu_down(1)), Err(TOLD_TO_FAIL.0));
        control.mend(1);
        control.disable().unwrap();
        assert_eq!(errno(control.cpu_down(1)), ebusy);
    });
}

#[test]
fn cpus_that_maxcpus_left_out_come_up_on_request() {
    let options = SmpOptions::from_command_line("maxcpus=2");
    Machine::builder(4).steps(&STEPS).options(options).build().run(|control| {
        assert_eq!(control.boot().online(), 2);
        assert_eq!((control.cpu_up(3), control.cpu_up(2)), (Ok(()), Ok(())));
    });
}

#[test]
fn hotplug_is_disabled_until_it_was_enabled_as_often() {
    on_machines(|control| {
        assert_eq!(control.enable(), Err(HotplugError::AlreadyThere("enabled")));
        control.disable().unwrap();
        control.disable().unwrap();
        assert_eq!(control.cpu_down(1), Err(HotplugError::Disabled));
        control.enable().unwrap();
        assert_eq!(control.cpu_down(1), Err(HotplugError::Disabled));
        assert!(matches!(control.freeze(), Err(failed) if failed.error == HotplugError::Disabled));
        control.enable().unwrap();
        assert_eq!(control.cpu_down(1), Ok(None));
    });
}

#[test]
fn frozen_cpus_come_back_and_none_others() {
    on_machines(|control| {
        control.cpu_down(2).unwrap();
        let frozen = control.freeze().unwrap();
        assert_eq!(frozen.cpus().to_string(), "1");
        assert!(control.hotplug().tasks_frozen());
        assert_eq!(control.cpu_up(2), Err(HotplugError::Disabled));
        let mut told = Vec::new();
        control.thaw(&frozen, &mut |cpu, result| told.push((cpu.get(), result))).unwrap();
        assert_eq!(told, [(1, Ok(()))]);
        assert!(!control.hotplug().tasks_frozen());
        assert_eq!([1, 2].map(|cpu| control.state(cpu)), [HotplugState(8), HotplugState::OFFLINE]);
        assert_eq!(control.thaw(&frozen, &mut |_, _| ()), Err(HotplugError::AlreadyThere("thawed")));
        assert_eq!(control.cpu_up(2), Ok(()));
    });
}

#[test]
fn a_cpu_that_cannot_be_frozen_brings_those_before_it_back() {
    on_machines(|control| {
        control.inject(fault("cpu2:fails-down:worker"));
        let failed = control.freeze().unwrap_err();
        assert_eq!(failed.cpu.get(), 2);
        assert_eq!(failed.error, HotplugError::Step(failure("worker", Direction::Down)));
        assert_eq!([1, 2].map(|cpu| control.state(cpu)), [HotplugState(8); 2]);
        assert!(!control.hotplug().tasks_frozen());
        assert_eq!(control.cpu_down(1), Ok(None));
    });
}

#[test]
fn requests_that_come_at_once_are_carried_out_one_after_the_other() {
    for seed in 0..200 {
        Machine::builder(4).seed(seed).steps(&STEPS).build().run(|control| {
            control.boot();
            let down = |cpu| -> Request<'_, _> { Box::new(move |control: &Control<'_, '_>| control.cpu_down(cpu)) };
            let results = control.together(vec![down(1), down(1), down(2), down(3)]);
            assert_eq!(results[2..], [Ok(None), Ok(None)]);
            let mut same = [results[0], results[1]];
            same.sort_by_key(Result::is_err);
            assert_eq!(same, [Ok(None), Err(HotplugError::AlreadyThere("offline"))]);
        });
    }
}

#[test]
fn a_request_behind_one_that_takes_too_long_is_told_so() {
    Machine::builder(3).steps(&STEPS).build().run(|control| {
        control.boot();
        control.inject(fault("cpu1:stays-on:60s"));
        let down = |cpu| -> Request<'_, _> { Box::new(move |control: &Control<'_, '_>| control.cpu_down(cpu)) };
        let results = control.together(vec![down(1), down(2)]);
        assert!(matches!(results[0], Err(HotplugError::NotOff(_))) || results[0] == Err(HotplugError::Busy));
        assert!(matches!(results[1], Ok(None) | Err(HotplugError::Busy)), "{results:?}");
    });
}
