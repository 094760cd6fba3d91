//! The library alone: every new CPU says that it is online, and sleeps. No steps, no trace.

use alloc::vec;
use core::cell::Cell;

use reveille::{
    CallError, ContextId, Cpu, CpuIndex, EnableMethod, Event, Instant, Outcome, Plan, Platform, Policy, Smp,
    SmpOptions, Timeout, Topology,
};
use reveille_aarch64::boot_table::{EntryTimes, Environment, Park, Start};
use reveille_aarch64::entry::BootTable;
use reveille_aarch64::psci::{Psci, PsciNode};
use reveille_runtime::arch::{interrupts, timer};
use reveille_runtime::clock;
use reveille_runtime::memory::Stack;

use crate::Phase;

static SMP: Smp = Smp::new();

struct Control {
    table: BootTable,
    first_kick: Cell<u64>,
}

impl Platform for Control {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn relax(&self) {
        interrupts::relax();
    }

    fn prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        let failed = |meaning| CallError { call: "prepare", code: 0, meaning };
        let stack = Stack::allocate().map_err(failed)?;
        let start = Start {
            hw_id: cpu.hw_id,
            claim: SMP.claim_word(cpu.index),
            entry,
            stack_top: stack.top() as u64,
            thread_pointer: 0,
            argument: 0,
        };
        // The CPU's for ever.
        core::mem::forget(stack);
        // SAFETY: the stack is the CPU's own, and nothing uses its thread pointer.
        unsafe { self.table.set(cpu.index, &start) }.map_err(|_| failed("the boot record is written already"))
    }

    fn event(&self, _cpu: CpuIndex, event: Event) {
        if event == Event::Kick && self.first_kick.get() == 0 {
            self.first_kick.set(timer::ticks());
        }
    }
}

extern "C" fn entry(context: u64, _argument: u64, _times: &EntryTimes) -> ! {
    if let Some(context) = ContextId::from_raw(context as u32) {
        // Given up or not, it sleeps.
        let _ = SMP.claimed(context).online();
    }
    interrupts::sleep_for_ever()
}

/// Brings all CPUs up.
pub fn bring_up(psci: &PsciNode, topology: &Topology) -> Result<Phase, &'static str> {
    let table = BootTable::seal(&Environment::of_this_cpu(), Park::Wait, |address| address as u64);
    let control = Control { table: table.ok_or("the boot table is sealed already")?, first_kick: Cell::new(0) };
    let method = Psci::new(psci, control.table.entry_point());
    let methods: [&dyn EnableMethod; 1] = [&method];
    let plan = Plan {
        topology,
        methods: &methods,
        options: SmpOptions::ALL,
        policy: Policy::PARALLEL,
        timeout: Timeout::DEFAULT,
    };
    let mut outcomes = vec![Outcome::NotAsked; topology.cpus().len()];
    SMP.masks.boot_cpu_init();
    SMP.init_cpus(&plan, &mut outcomes);
    SMP.prepare_cpus(&plan, &mut outcomes);
    let summary = SMP.bring_up(&plan, &control, &mut outcomes);
    let last_arrival = timer::ticks();
    if summary.online != topology.cpus().len() {
        return Err("not every CPU came up");
    }
    let first_kick = control.first_kick.get();
    Ok(Phase { first_kick, last_arrival: if first_kick == 0 { 0 } else { last_arrival } })
}
