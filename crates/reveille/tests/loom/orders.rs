//! What a CPU's hotplug thread is asked for.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use reveille::hotplug::{Hotplug, HotplugError, HotplugPlatform, Section, Step, StepTable, Verdict};
use reveille::{CpuIndex, EnableMethod, Plan, Policy, SmpOptions, Timeout, Topology};

use crate::bringup::{Control, Firmware};
use crate::machine::topology;
use crate::shared::{FILLED, Shared, cpu};

impl HotplugPlatform for Control {
    fn wake(&self, _: CpuIndex) {}
}

/// Steps without state of their own: where a CPU is, the library says.
fn steps() -> &'static StepTable<'static> {
    static STEPS: [Step<'static>; 2] =
        [Step::new(Section::Online, 0, "first"), Step::new(Section::Online, 1, "second")];
    Box::leak(Box::new(StepTable::collect(&STEPS).unwrap()))
}

/// The CPU, online and held before its ONLINE steps.
fn held(steps: &'static StepTable<'static>) -> Arc<Shared> {
    let shared = Shared::new();
    shared.smp.masks.boot_cpu_init();
    shared.smp.masks.possible.insert(cpu());
    shared.smp.masks.present.insert(cpu());
    shared.memory.set(FILLED);
    let hotplug = Hotplug::new(&shared.smp, steps);
    let arrival = shared.smp.claim(shared.start()).unwrap();
    hotplug.starting(&arrival).unwrap();
    hotplug.come_online(arrival).unwrap();
    shared
}

/// Asks a CPU whose thread looks `looks` times to go through its ONLINE steps; the kinds of result that were seen.
fn ask(looks: usize, tick: u64) -> String {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let (topology, steps, report) = (std::sync::Arc::new(topology()), steps(), seen.clone());
    loom::model(move || {
        let shared = held(steps);
        let thread = {
            let shared = shared.clone();
            thread::spawn(move || {
                let hotplug = Hotplug::new(&shared.smp, steps);
                for _ in 0..looks {
                    assert_eq!(hotplug.thread(cpu()), Verdict::Sleep);
                    thread::yield_now();
                }
            })
        };
        let firmware = Firmware { context: shared.context.clone(), answer: Ok(()) };
        let methods: [&dyn EnableMethod; 1] = [&firmware];
        let plan = Plan {
            topology: &topology,
            methods: &methods,
            options: SmpOptions::ALL,
            policy: Policy::PARALLEL,
            timeout: Timeout::new(Duration::from_nanos(3), Duration::ZERO),
        };
        let control = Control { shared: shared.clone(), now: std::cell::Cell::new(0), tick };
        let hotplug = Hotplug::new(&shared.smp, steps);
        let result = hotplug.cpu_up(&plan, &control, cpu());
        thread.join().unwrap();
        let state = hotplug.state(cpu());
        let (kind, expected) = match result {
            Ok(()) => ("done", steps.online()),
            // It was not begun, and never is.
            Err(HotplugError::NoAnswer) => ("no answer", steps.ap_online()),
            // It was begun, and is ended by whoever began it.
            Err(HotplugError::Hung("first" | "second")) => ("hung", steps.online()),
            result => panic!("{result:?}"),
        };
        assert_eq!(state, expected, "{result:?}");
        report.lock().unwrap().insert(kind);
    });
    let seen: Vec<_> = seen.lock().unwrap().iter().copied().collect();
    seen.join(", ")
}

#[test]
fn an_order_is_carried_out_or_taken_back_and_never_both() {
    assert_eq!(ask(1, 1), "done, hung, no answer");
}

/// Two CPUs ask at once.
#[test]
fn requests_are_carried_out_one_after_the_other() {
    let (topology, steps) = (std::sync::Arc::new(topology()), steps());
    loom::model(move || {
        let shared = held(steps);
        let ask = |shared: Arc<Shared>, topology: std::sync::Arc<Box<Topology>>| {
            let plan = Plan {
                topology: &topology,
                methods: &[],
                options: SmpOptions::ALL,
                policy: Policy::PARALLEL,
                timeout: Timeout::new(Duration::from_nanos(1), Duration::ZERO),
            };
            let control = Control { shared: shared.clone(), now: std::cell::Cell::new(0), tick: 1 };
            Hotplug::new(&shared.smp, steps).disable(&plan, &control)
        };
        let other = {
            let (shared, topology) = (shared.clone(), topology.clone());
            thread::spawn(move || ask(shared, topology))
        };
        let results = [ask(shared.clone(), topology.clone()), other.join().unwrap()];
        assert!(results.contains(&Ok(())), "{results:?}");
        assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(HotplugError::Busy))), "{results:?}");
    });
}
