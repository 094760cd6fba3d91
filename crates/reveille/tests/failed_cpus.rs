//! CPUs whose last step fails, or does not end, and that do not go off either: how long they keep the others waiting, and what
//! is said of them. All in one thread, on a clock that every look advances.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::hotplug::{
    Hotplug, HotplugError, HotplugPlatform, HotplugState, Section, Step, StepError, StepTable, Verdict,
};
use reveille::topology::FdtOptions;
use reveille::{
    CallError, ContextId, Cpu, CpuIndex, EnableMethod, FirmwareState, HwId, Instant, MAX_CPUS, Outcome, Plan, Platform,
    Policy, Smp, SmpOptions, Timeout, Topology,
};

const TIMEOUT: u64 = 1_000;

/// The CPUs, their firmware, which switches none off, and the control CPU, whose waits are when the others run.
struct Machine<'a> {
    smp: &'a Smp,
    hotplug: Hotplug<'a>,
    now: AtomicU64,
    kicked: Mutex<Vec<ContextId>>,
    woken: Mutex<Vec<CpuIndex>>,
}

impl Machine<'_> {
    fn run_cpu(&self, cpu: CpuIndex) {
        // A step that hangs unwinds out of the thread, which has then begun what it was asked for and not ended it.
        let thread = AssertUnwindSafe(|| self.hotplug.thread(cpu));
        if catch_unwind(thread).is_ok_and(|verdict| verdict == Verdict::Die) {
            self.hotplug.take_cpu_down(cpu);
            self.smp.claim_word(cpu).report_dead().unwrap();
        }
    }
}

impl Platform for Machine<'_> {
    fn now(&self) -> Instant {
        Instant(self.now.fetch_add(1, Ordering::Relaxed))
    }

    fn relax(&self) {
        for context in std::mem::take(&mut *self.kicked.lock().unwrap()) {
            let arrival = self.smp.claim(context).unwrap();
            self.hotplug.starting(&arrival).unwrap();
            self.hotplug.come_online(arrival).unwrap();
            self.run_cpu(context.cpu());
        }
        for cpu in std::mem::take(&mut *self.woken.lock().unwrap()) {
            self.run_cpu(cpu);
        }
    }

    fn prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }
}

impl HotplugPlatform for Machine<'_> {
    fn wake(&self, cpu: CpuIndex) {
        self.woken.lock().unwrap().push(cpu);
    }
}

impl EnableMethod for Machine<'_> {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, _: &Cpu, context: ContextId) -> Result<(), CallError> {
        self.kicked.lock().unwrap().push(context);
        Ok(())
    }

    fn cpu_can_disable(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn affinity_info(&self, _: &Cpu) -> FirmwareState {
        FirmwareState::On
    }
}

fn topology(count: usize) -> Topology {
    let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value.to_vec()).unwrap();
    let mut cpus = DeviceTreeNode::new("cpus").unwrap();
    for id in 0..count as u32 {
        let mut cpu = DeviceTreeNode::new(format!("cpu@{id:x}")).unwrap();
        cpu.add_property(property("reg", &id.to_be_bytes()));
        cpu.add_property(property("enable-method", b"fake\0"));
        cpus.add_child(cpu);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(cpus);
    let options = FdtOptions { boot_cpu: HwId(0), hw_id_mask: u64::MAX, methods: &["fake"], nr_cpus: MAX_CPUS };
    let mut topology = Topology::new(HwId(0));
    let findings = topology.read_fdt(&Fdt::new(&tree.to_dtb()).unwrap(), &options, &mut |_| ()).unwrap();
    assert_eq!(findings.left_out, 0);
    topology
}

fn fail(_: CpuIndex) -> Result<(), StepError> {
    Err(StepError(-5))
}

fn hang(_: CpuIndex) -> Result<(), StepError> {
    resume_unwind(Box::new(()))
}

static FAILS: Step<'static> = Step::new(Section::Online, 1, "fails").startup(&fail);
static HANGS: Step<'static> = Step::new(Section::Online, 1, "hangs").teardown(&hang);

/// Brings all CPUs of a machine up, through one step, and hands over what became of them.
fn bring_up(step: &Step<'_>, cpus: usize, then: impl FnOnce(&Machine<'_>, &Plan<'_>, &[Outcome])) {
    let smp = Box::new(Smp::new());
    let topology = topology(cpus);
    let steps = StepTable::collect([step]).unwrap();
    let machine = Machine {
        smp: &smp,
        hotplug: Hotplug::new(&smp, &steps),
        now: AtomicU64::new(0),
        kicked: Mutex::default(),
        woken: Mutex::default(),
    };
    smp.masks.boot_cpu_init();
    let plan = Plan {
        topology: &topology,
        methods: &[&machine],
        options: SmpOptions::ALL,
        policy: Policy::PARALLEL,
        timeout: Timeout::new(Duration::from_nanos(TIMEOUT), Duration::ZERO),
    };
    let mut outcomes = vec![Outcome::NotAsked; cpus];
    smp.init_cpus(&plan, &mut outcomes);
    smp.prepare_cpus(&plan, &mut outcomes);
    machine.hotplug.bring_up(&plan, &machine, &mut outcomes).unwrap();
    then(&machine, &plan, &outcomes);
}

#[test]
fn row_54_cpus_that_fail_and_stay_on_cost_one_deadline_together() {
    bring_up(&FAILS, 17, |machine, _, outcomes| {
        assert!(
            outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::Step(failure) if failure.step == "fails"))
        );
        let now = machine.now.load(Ordering::Relaxed);
        assert!((TIMEOUT..TIMEOUT * 3 / 2).contains(&now), "16 CPUs cost {now}");
    });
}

#[test]
fn a_teardown_that_does_not_end_is_named() {
    bring_up(&HANGS, 3, |machine, plan, outcomes| {
        assert_eq!(outcomes[1..], [Outcome::Online; 2]);
        let cpu = CpuIndex::new(1).unwrap();
        let down = || machine.hotplug.set_state(plan, machine, cpu, HotplugState::OFFLINE);
        assert_eq!(down(), Err(HotplugError::Hung("hangs")));
        assert_eq!(down(), Err(HotplugError::StillRunning("hangs")));
    });
}
