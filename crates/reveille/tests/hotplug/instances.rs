//! Multi-instance steps, whose instances come and go, and fail to.

use std::sync::Mutex;

use reveille::CpuIndex;
use reveille::hotplug::{Direction, HotplugError, HotplugState, Instance, Instances, Section, Step, StepError};
use reveille_sim::{Control, Machine};

use super::{TOLD_TO_FAIL, failure, fault};

fn instance(number: u8) -> Instance {
    Instance::new(number).unwrap()
}

/// What a multi-instance step was asked to do, and which call of it fails.
#[derive(Default)]
struct Devices {
    calls: Mutex<Vec<(usize, u8, Direction)>>,
    failing: Mutex<Vec<(usize, u8, Direction)>>,
}

impl Devices {
    fn call(&self, cpu: CpuIndex, instance: Instance, direction: Direction) -> Result<(), StepError> {
        let call = (cpu.get(), instance.number(), direction);
        self.calls.lock().unwrap().push(call);
        if self.failing.lock().unwrap().contains(&call) { Err(TOLD_TO_FAIL) } else { Ok(()) }
    }

    fn fail(&self, cpu: usize, instance: u8, direction: Direction) {
        self.failing.lock().unwrap().push((cpu, instance, direction));
    }

    fn mend(&self) {
        self.failing.lock().unwrap().clear();
    }

    /// The calls since the last time, as `1+0` for the startup of instance 0 on CPU 1.
    fn told(&self) -> String {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let text = |(cpu, instance, direction)| {
            format!("{cpu}{}{instance}", if direction == Direction::Up { '+' } else { '-' })
        };
        calls.into_iter().map(text).collect::<Vec<_>>().join(" ")
    }
}

/// Runs `scenario` on a machine of three CPUs with the multi-instance step `devices` in `section`.
fn with_devices(section: Section, scenario: impl Fn(&Control<'_, '_>, &Devices, &Instances)) {
    for seed in 0..10 {
        let (devices, instances) = (Devices::default(), Instances::new());
        let up = |cpu, instance| devices.call(cpu, instance, Direction::Up);
        let down = |cpu, instance| devices.call(cpu, instance, Direction::Down);
        let step = Step::multi(section, 5, "devices", &instances).each(&up, &down);
        let other = Step::new(section, 6, "other");
        Machine::builder(3).seed(seed).step(&step).step(&other).build().run(|control| {
            scenario(control, &devices, &instances);
        });
    }
}

fn booted(section: Section, scenario: impl Fn(&Control<'_, '_>, &Devices, &Instances)) {
    with_devices(section, |control, devices, instances| {
        assert_eq!(control.boot().online(), 3);
        scenario(control, devices, instances);
    });
}

#[test]
fn an_instance_comes_and_goes_on_every_cpu_that_has_passed_the_step() {
    for section in [Section::Prepare, Section::Online] {
        booted(section, |control, devices, instances| {
            control.cpu_down(1).unwrap();
            assert_eq!(control.add_instance("devices", instance(7)), Ok(()));
            assert_eq!(devices.told(), "0+7 2+7");
            assert_eq!(control.add_instance("devices", instance(3)), Ok(()));
            assert_eq!(devices.told(), "0+3 2+3");
            assert!(instances.iter().map(Instance::number).eq([3, 7]));
            control.cpu_up(1).unwrap();
            assert_eq!(devices.told(), "1+3 1+7");
            assert_eq!(control.remove_instance("devices", instance(7)), Ok(()));
            assert_eq!(devices.told(), "0-7 1-7 2-7");
            control.cpu_down(2).unwrap();
            assert_eq!(devices.told(), "2-3");
        });
    }
}

#[test]
fn an_instance_that_cannot_come_on_one_cpu_comes_on_none() {
    for section in [Section::Prepare, Section::Online] {
        booted(section, |control, devices, instances| {
            devices.fail(2, 4, Direction::Up);
            let failed = failure("devices", Direction::Up);
            assert_eq!(control.add_instance("devices", instance(4)), Err(HotplugError::Step(failed)));
            assert_eq!(devices.told(), "0+4 1+4 2+4 1-4 0-4");
            assert!(!instances.contains(instance(4)));
            devices.mend();
            assert_eq!(control.add_instance("devices", instance(4)), Ok(()));
        });
    }
}

#[test]
fn an_instance_that_cannot_go_from_one_cpu_stays_on_all() {
    for section in [Section::Prepare, Section::Online] {
        booted(section, |control, devices, instances| {
            control.add_instance("devices", instance(4)).unwrap();
            devices.told();
            devices.fail(2, 4, Direction::Down);
            let failed = failure("devices", Direction::Down);
            assert_eq!(control.remove_instance("devices", instance(4)), Err(HotplugError::Step(failed)));
            assert_eq!(devices.told(), "0-4 1-4 2-4 1+4 0+4");
            assert!(instances.contains(instance(4)));
        });
    }
}

/// CPU 1 keeps it; CPU 0, which comes after, does not.
#[test]
fn a_cpu_on_which_an_instance_cannot_be_undone_does_not_keep_the_others_from_it() {
    for section in [Section::Prepare, Section::Online] {
        booted(section, |control, devices, instances| {
            devices.fail(2, 4, Direction::Up);
            devices.fail(1, 4, Direction::Down);
            let Err(HotplugError::Step(failed)) = control.add_instance("devices", instance(4)) else { panic!() };
            assert_eq!((failed.direction, failed.undo), (Direction::Up, Some(("devices", TOLD_TO_FAIL))));
            assert_eq!(devices.told(), "0+4 1+4 2+4 1-4 0-4");
            assert!(!instances.contains(instance(4)));
        });
    }
}

#[test]
fn the_instances_of_a_step_are_undone_where_one_fails_on_the_way_up_and_down() {
    booted(Section::Online, |control, devices, _| {
        for number in [0, 1, 2] {
            control.add_instance("devices", instance(number)).unwrap();
        }
        devices.told();
        devices.fail(1, 1, Direction::Down);
        assert_eq!(control.cpu_down(1), Err(HotplugError::Step(failure("devices", Direction::Down))));
        assert_eq!(devices.told(), "1-0 1-1 1+0");
        devices.mend();
        control.cpu_down(1).unwrap();
        devices.told();
        devices.fail(1, 2, Direction::Up);
        assert_eq!(control.cpu_up(1), Err(HotplugError::Step(failure("devices", Direction::Up))));
        assert_eq!(devices.told(), "1+0 1+1 1+2 1-1 1-0");
        assert_eq!(control.state(1), HotplugState::OFFLINE);
    });
}

/// What is passed over is passed over for one instance, not for those after it.
#[test]
fn a_dying_cpu_tears_down_all_instances_though_one_fails() {
    with_devices(Section::Starting, |control, devices, _| {
        for number in [0, 1, 2] {
            control.add_instance("devices", instance(number)).unwrap();
        }
        assert_eq!(control.boot().online(), 3);
        devices.told();
        devices.fail(1, 1, Direction::Down);
        assert_eq!(control.cpu_down(1), Ok(Some(failure("devices", Direction::Down))));
        assert_eq!(devices.told(), "1-0 1-1 1-2");
        assert_eq!(control.state(1), HotplugState::OFFLINE);
    });
}

#[test]
fn instances_that_are_there_or_not_or_of_no_such_step_are_refused() {
    booted(Section::Online, |control, _, _| {
        assert_eq!(control.remove_instance("devices", instance(1)), Err(HotplugError::NoSuchInstance));
        control.add_instance("devices", instance(1)).unwrap();
        assert_eq!(control.add_instance("devices", instance(1)), Err(HotplugError::NoSuchInstance));
        assert_eq!(control.add_instance("other", instance(1)), Err(HotplugError::NoSuchInstance));
    });
}

#[test]
fn instances_of_a_starting_step_are_given_before_cpus_pass_it() {
    booted(Section::Starting, |control, _, _| {
        assert_eq!(control.add_instance("devices", instance(1)), Err(HotplugError::TooLate("devices")));
    });
}

#[test]
fn an_instance_that_hangs_on_one_cpu_is_named() {
    booted(Section::Online, |control, _, _| {
        control.inject(fault("cpu2:stops:devices"));
        assert_eq!(control.add_instance("devices", instance(1)), Err(HotplugError::Hung("devices")));
    });
}
