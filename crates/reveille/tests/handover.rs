//! Handing CPUs over: those that go, those that cannot, and those that come too late.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::handover::{Departure, Exit, Handover, Leaver, NotGone, SwitchOff};
use reveille::topology::FdtOptions;
use reveille::{
    CallError, ContextId, Cpu, CpuIndex, EnableMethod, FirmwareState, HwId, Instant, Plan, Policy, Smp, SmpOptions,
    Timeout, Topology,
};

const DENIED: i64 = -3;
/// How long the control CPU waits.
const PATIENCE: Duration = Duration::from_millis(10);

/// What a CPU does that is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Goes,
    IsDenied,
    /// The same, between the last look at it and the deadline's verdict.
    IsDeniedAtLast,
    IsSilent,
    /// It answers when the deadline is over.
    IsLate,
    /// It says that it goes, and firmware never says that it is off.
    Lingers,
    CannotBeAsked,
}

/// Firmware and CPUs in one: a CPU that is asked leaves within the call.
struct Machine {
    smp: Smp,
    handover: Handover,
    manners: Vec<Manner>,
    off: Mutex<Vec<CpuIndex>>,
    now: AtomicU64,
    late: Mutex<Vec<NotGone>>,
}

impl EnableMethod for Machine {
    fn name(&self) -> &'static str {
        "psci"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let _ = cpu;
        self.smp.claim(context).unwrap().online().unwrap();
        Ok(())
    }

    fn cpu_can_disable(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_die(&self, cpu: &Cpu) -> i64 {
        if self.manners[cpu.index.get()] == Manner::Goes {
            self.off.lock().unwrap().push(cpu.index);
        }
        DENIED
    }

    fn die_error(&self, code: i64) -> CallError {
        CallError { call: "CPU_OFF", code, meaning: "DENIED" }
    }

    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        if self.off.lock().unwrap().contains(&cpu.index) { FirmwareState::Off } else { FirmwareState::On }
    }
}

/// A pen that takes everyone, or a way out that is closed.
struct Closed;

impl Exit for Closed {
    fn check(&self, _: &Cpu) -> Result<(), CallError> {
        Err(CallError { call: "pen", code: 0, meaning: "full" })
    }

    fn leave(&self, _: &Cpu) -> i32 {
        unreachable!("nobody is asked")
    }

    fn refusal(&self, _: &Cpu, _: i32) -> CallError {
        unreachable!("nobody is asked")
    }

    fn state(&self, _: &Cpu) -> FirmwareState {
        FirmwareState::On
    }
}

/// An exit through which a CPU that leaves does not come back, as on a machine.
struct Gone<'a>(SwitchOff<'a>, &'a Machine);

impl Exit for Gone<'_> {
    fn check(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.0.check(cpu)
    }

    fn leave(&self, cpu: &Cpu) -> i32 {
        let code = self.0.leave(cpu);
        match self.1.manners[cpu.index.get()] {
            Manner::IsDenied | Manner::IsDeniedAtLast => code,
            // A thread that ends here stands for a CPU that executes nothing any more.
            _ => std::panic::resume_unwind(Box::new("off")),
        }
    }

    fn refusal(&self, cpu: &Cpu, code: i32) -> CallError {
        self.0.refusal(cpu, code)
    }

    fn state(&self, cpu: &Cpu) -> FirmwareState {
        self.0.state(cpu)
    }
}

struct Control<'a>(&'a Machine, &'a Gone<'a>);

impl Control<'_> {
    fn leave(&self, cpu: &Cpu) -> Result<NotGone, ()> {
        let leave = || self.0.handover.leave(&self.0.smp, cpu, self.1);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(leave)).map_err(|_| ())
    }
}

impl Leaver for Control<'_> {
    fn now(&self) -> Instant {
        let now = self.0.now.load(Ordering::Relaxed);
        if now >= PATIENCE.as_nanos() as u64 {
            let is_last = |cpu: &&Cpu| self.0.manners[cpu.index.get()] == Manner::IsDeniedAtLast;
            self.1.0.0.topology.cpus().iter().filter(is_last).for_each(|cpu| _ = self.leave(cpu));
        }
        Instant(now)
    }

    fn relax(&self) {
        self.0.now.fetch_add(1_000_000, Ordering::Relaxed);
    }

    fn ask(&self, cpu: &Cpu) -> Result<(), CallError> {
        match self.0.manners[cpu.index.get()] {
            Manner::CannotBeAsked => return Err(CallError { call: "thread", code: 0, meaning: "no stack" }),
            Manner::IsSilent | Manner::IsLate | Manner::IsDeniedAtLast => {}
            _ => _ = self.leave(cpu),
        }
        Ok(())
    }
}

fn topology(cpus: usize) -> Topology {
    let mut node = DeviceTreeNode::new("cpus").unwrap();
    for id in 0..cpus as u32 {
        let mut cpu = DeviceTreeNode::new(format!("cpu@{id}")).unwrap();
        cpu.add_property(DeviceTreeProperty::new("reg", id).unwrap());
        cpu.add_property(DeviceTreeProperty::new("enable-method", "psci").unwrap());
        node.add_child(cpu);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(node);
    let blob = tree.to_dtb();
    let mut topology = Topology::new(HwId(0));
    let options = FdtOptions { boot_cpu: HwId(0), hw_id_mask: 0xff, methods: &["psci"], nr_cpus: cpus };
    let findings = topology.read_fdt(&Fdt::new(&blob).unwrap(), &options, &mut |_| ()).unwrap();
    assert!(findings.boot_cpu_found);
    topology
}

/// Hands over a machine whose secondaries behave like this: what became of each, and the machine.
fn hand_over(manners: &[Manner], exit: Option<&dyn Exit>) -> (Vec<Departure>, Machine) {
    let machine = Machine {
        smp: Smp::new(),
        handover: Handover::new(),
        manners: std::iter::once(Manner::Goes).chain(manners.iter().copied()).collect(),
        off: Mutex::default(),
        now: AtomicU64::new(0),
        late: Mutex::default(),
    };
    let topology = topology(manners.len() + 1);
    let mut departures = vec![Departure::Gone; manners.len() + 1];
    {
        let methods: [&dyn EnableMethod; 1] = [&machine];
        let plan = Plan {
            topology: &topology,
            methods: &methods,
            options: SmpOptions::ALL,
            policy: Policy::PARALLEL,
            timeout: Timeout::DEFAULT,
        };
        for cpu in topology.cpus() {
            machine.smp.masks.online.insert(cpu.index);
        }
        let own = Gone(SwitchOff(plan), &machine);
        let control = Control(&machine, &own);
        let timeout = Timeout::new(PATIENCE, Duration::ZERO);
        let exit = exit.unwrap_or(&own);
        machine.handover.hand_over(&machine.smp, &plan, exit, &control, timeout, &mut departures);
        for cpu in topology.cpus() {
            if machine.manners[cpu.index.get()] == Manner::IsLate {
                machine.late.lock().unwrap().push(control.leave(cpu).unwrap());
            }
        }
    }
    (departures, machine)
}

fn online(machine: &Machine) -> Vec<usize> {
    machine.smp.masks.online.snapshot().iter().map(CpuIndex::get).collect()
}

#[test]
fn every_cpu_goes_and_is_in_no_mask_afterwards() {
    let (departures, machine) = hand_over(&[Manner::Goes; 7], None);
    assert!(departures.iter().all(Departure::is_gone), "{departures:?}");
    assert_eq!(online(&machine), [0]);
}

#[test]
fn one_that_is_denied_is_named_with_the_code_and_the_others_go() {
    let (departures, machine) = hand_over(&[Manner::Goes, Manner::IsDenied, Manner::Goes], None);
    let denied = CallError { call: "CPU_OFF", code: DENIED, meaning: "DENIED" };
    assert_eq!(departures[1..], [Departure::Gone, Departure::Refused(denied), Departure::Gone]);
    assert_eq!(departures[2].to_string(), "could not leave: CPU_OFF: DENIED (-3)");
    assert!(machine.now.load(Ordering::Relaxed) < 10_000_000, "nobody is waited for who has answered");
}

#[test]
fn one_that_is_denied_at_the_deadline_is_not_called_missing() {
    let (departures, _) = hand_over(&[Manner::IsDeniedAtLast], None);
    let denied = CallError { call: "CPU_OFF", code: DENIED, meaning: "DENIED" };
    assert_eq!(departures[1], Departure::Refused(denied));
}

#[test]
fn one_that_is_silent_costs_one_deadline_and_stays_in_the_masks() {
    let (departures, machine) = hand_over(&[Manner::IsSilent, Manner::Goes, Manner::IsSilent], None);
    assert_eq!(departures[1..], [Departure::Silent, Departure::Gone, Departure::Silent]);
    assert_eq!(online(&machine), [0, 1, 3]);
    assert!(machine.now.load(Ordering::Relaxed) <= 12_000_000);
}

#[test]
fn one_that_answers_too_late_does_not_go() {
    let (departures, machine) = hand_over(&[Manner::IsLate], None);
    assert_eq!(departures[1], Departure::Silent);
    assert_eq!(*machine.late.lock().unwrap(), [NotGone::Withdrawn]);
    assert!(machine.off.lock().unwrap().is_empty());
}

#[test]
fn one_that_firmware_never_calls_off_is_missing() {
    let (departures, _) = hand_over(&[Manner::Lingers], None);
    assert_eq!(departures[1], Departure::Missing(FirmwareState::On));
}

#[test]
fn nobody_is_asked_where_the_way_out_is_closed_or_who_cannot_be_asked() {
    let (departures, machine) = hand_over(&[Manner::Goes], Some(&Closed));
    assert!(matches!(departures[1], Departure::Unable(CallError { call: "pen", .. })));
    assert_eq!(online(&machine), [0, 1]);
    let (departures, _) = hand_over(&[Manner::CannotBeAsked], None);
    assert!(matches!(departures[1], Departure::Unable(CallError { call: "thread", .. })));
}

#[test]
fn one_that_never_came_up_is_gone_only_if_firmware_says_that_it_is_off() {
    let machine = Machine {
        smp: Smp::new(),
        handover: Handover::new(),
        manners: vec![Manner::Goes; 3],
        off: Mutex::new(vec![CpuIndex::new(1).unwrap()]),
        now: AtomicU64::new(0),
        late: Mutex::default(),
    };
    let topology = topology(3);
    let methods: [&dyn EnableMethod; 1] = [&machine];
    let plan = Plan {
        topology: &topology,
        methods: &methods,
        options: SmpOptions::ALL,
        policy: Policy::PARALLEL,
        timeout: Timeout::DEFAULT,
    };
    let own = Gone(SwitchOff(plan), &machine);
    let mut departures = [Departure::Gone; 3];
    let control = Control(&machine, &own);
    machine.handover.hand_over(&machine.smp, &plan, &own, &control, Timeout::DEFAULT, &mut departures);
    assert_eq!(departures[1..], [Departure::Gone, Departure::Missing(FirmwareState::On)]);
}
