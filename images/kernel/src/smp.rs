//! Which CPUs there are, what they own, how they are brought up (Linux's `arch/arm64/kernel/smp.c` and `kernel/cpu.c`).
//!
//! Linux brings CPUs up one after the other. Here all are kicked before any is waited for, so `cpu_up` of a CPU ends with its
//! kick and the wait is that of all: docs/paths/linux-psci.md says what else differs for that reason.

use alloc::vec::Vec;
use core::cell::Cell;

use reveille::{CallError, Cpu, CpuIndex, Event, HwId, Instant, Outcome, Platform, Summary};
use reveille_runtime::arch::interrupts;
use reveille_runtime::cpus::SMP;
use reveille_runtime::plan::{self, CpuSource, Methods, Setup, plan};
use reveille_runtime::{clock, println, trace};

use crate::arch::spans;
use crate::hotplug::hotplug;
use crate::names::name;
use crate::options::Options;

/// Reads the CPUs from `source` and enters those with a usable method into the possible mask.
pub fn smp_init_cpus<S: CpuSource>(source: &S, boot_cpu: HwId, options: &Options, methods: Methods) -> Setup {
    let _span = trace::span(spans::INIT_CPUS);
    plan::init_cpus(source, boot_cpu, &options.bring_up, methods)
}

/// What the bring-up came to.
pub struct BroughtUp {
    /// How many CPUs were asked for, and how many of them are online.
    pub summary: Summary,
    /// What became of each CPU, by its index.
    pub outcomes: Vec<Outcome>,
}

/// Enters every CPU that can be started into the present mask.
pub fn smp_prepare_cpus(setup: &mut Setup) {
    let _span = trace::span(name::smp_prepare_cpus);
    SMP.prepare_cpus(&plan(), &mut setup.outcomes);
}

/// Brings the present CPUs up, through all steps. Prints nothing between the first kick and the last arrival.
pub fn smp_init(mut outcomes: Vec<Outcome>) -> BroughtUp {
    let _span = trace::span(name::smp_init);
    let plan = plan();
    let present = SMP.masks.present.snapshot().count();
    println!("Bringing up secondary CPUs: {present} present, {}", plan.policy);
    let summary = {
        let _span = trace::span(name::bringup_nonboot_cpus);
        // There is nothing else to do yet while it waits.
        hotplug().bring_up(&plan, &Control::new(interrupts::relax), &mut outcomes)
    };
    let summary = summary.unwrap_or_else(|reason| panic!("the first request for CPUs: {reason}"));
    smp_cpus_done(&summary);
    BroughtUp { summary, outcomes }
}

fn smp_cpus_done(summary: &Summary) {
    let _span = trace::span(name::smp_cpus_done);
    println!("Brought up {} of {} CPUs", summary.online, summary.asked);
}

/// The control CPU's side of a request.
pub struct Control {
    /// What is done in every turn of a wait.
    relax: fn(),
    /// When its turn came, in nanoseconds.
    pub began: Cell<u64>,
}

impl Control {
    /// One that does `relax` while it waits.
    pub const fn new(relax: fn()) -> Self {
        Self { relax, began: Cell::new(0) }
    }
}

impl Platform for Control {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn relax(&self) {
        (self.relax)();
    }

    /// All that a CPU needs is made by steps.
    fn prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn event(&self, cpu: CpuIndex, event: Event) {
        let target = cpu.get() as u32;
        let now = reveille_runtime::arch::timer::ticks();
        match event {
            Event::Kick => {
                for span in spans::kick(cpu) {
                    trace::record_at(now, reveille::trace::Kind::Begin, span, target);
                }
                trace::record_at(now, reveille::trace::Kind::Instant, name::kick, target);
            }
            Event::Kicked => {
                for span in spans::kick(cpu).into_iter().rev() {
                    trace::record_at(now, reveille::trace::Kind::End, span, 0);
                }
            }
            Event::Prepare | Event::Prepared | Event::Wait | Event::Done(_) => {}
        }
    }
}
