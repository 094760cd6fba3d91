//! CPUs that cannot switch themselves off: the control CPU stops them.

use reveille::hotplug::{Direction, HotplugError, HotplugState};
use reveille_sim::{Control, Machine};

use super::{STEPS, failure, fault};

fn on_machines(scenario: impl Fn(&Control<'_, '_>)) {
    for seed in 0..20 {
        Machine::builder(3).seed(seed).steps(&STEPS).stopped_from_outside().build().run(|control| {
            assert_eq!(control.boot().online(), 3);
            scenario(control);
        });
    }
}

#[test]
fn cpus_go_and_come_back() {
    on_machines(|control| {
        for _ in 0..3 {
            assert_eq!(control.cpu_down(1), Ok(None));
            assert_eq!(control.state(1), HotplugState::OFFLINE);
            assert_eq!(control.cpu_down(2), Ok(None));
            assert_eq!(control.cpu_up(2), Ok(()));
            assert_eq!(control.cpu_up(1), Ok(()));
        }
    });
}

#[test]
fn a_cpu_whose_step_fails_is_stopped_and_comes_up_when_it_is_mended() {
    on_machines(|control| {
        for step in ["irq", "worker"] {
            assert_eq!(control.cpu_down(1), Ok(None));
            control.inject(fault(&format!("cpu1:fails:{step}")));
            match control.cpu_up(1) {
                Err(HotplugError::Step(failed)) => assert_eq!(failed, failure(step, Direction::Up)),
                other => assert!(matches!(other, Err(HotplugError::NotUp(_))), "{other:?}"),
            }
            control.mend(1);
            assert_eq!(control.cpu_up(1), Ok(()));
        }
    });
}
