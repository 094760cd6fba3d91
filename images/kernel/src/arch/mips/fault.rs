//! A CFE that starts CPUs wrongly, or does not stop them: [`FaultyCfe`], between CFE's method and the real one; and what CPUs execute
//! for that instead of the entry code.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use cfe_abi::{CpuCommand, CpuControl, Error, Function, Request, pointer};
use reveille::{CpuIndex, HwId, MAX_CPUS};
use reveille_mips::cfe::Firmware;
use reveille_mips::entry::RECORDS;
use reveille_runtime::arch::timer;
use reveille_runtime::cpus;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_sim::fault::FaultKind;

use super::smp::OnBootCpu;
use crate::fault::spec::Kind;
use crate::fault::{guard, has, let_pass, take};

/// What the entry code takes off a CPU's stack before it calls Rust, in bytes.
pub const LEFT_BY_ENTRY_CODE: usize = 24;

/// The lowest bit of the generation in a context id, whose low half is the index.
const GENERATION: u64 = 1 << 16;

/// The context id that each CPU was last started with.
static CONTEXTS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// For how many ticks of Count each CPU is delayed, by its number.
static DELAYS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

global_asm!(include_str!("fault/stubs.S"), delays = sym DELAYS);

unsafe extern "C" {
    safe fn reveille_fault_dead();
    safe fn reveille_fault_delayed();
    fn reveille_fault_again(context: u32, stack_pointer: usize, record: usize) -> !;
}

/// Has this CPU enter again, as if it were reset and started as it was the last time. Interrupts are masked.
pub fn arrive_again() -> ! {
    let cpu = smp_processor_id();
    guard::mark(cpu);
    let Some((stack_pointer, record)) = RECORDS.stack_and_record(cpu) else {
        panic!("a CPU arrives again that was never started");
    };
    // SAFETY: what runs here never goes on; the stack is not used before the claim, which fails.
    unsafe { reveille_fault_again(CONTEXTS[cpu.get()].load(Ordering::Relaxed), stack_pointer, record) }
}

/// CFE, and the faults.
pub struct FaultyCfe(pub OnBootCpu);

impl Firmware for FaultyCfe {
    fn call(&self, request: &mut Request) {
        let control: CpuControl = request.parameters();
        let cpu = cpus::topology().cpus().iter().find(|cpu| cpu.hw_id == HwId(control.cpu_number));
        let command = (request.function == Function::CpuControl.code()).then(|| CpuCommand::from_code(control.command));
        match (command.flatten(), cpu) {
            (Some(CpuCommand::Start), Some(cpu)) => self.start(cpu.index, control, request),
            (Some(CpuCommand::Stop), Some(cpu)) => self.stop(cpu.index, request),
            _ => self.0.call(request),
        }
    }
}

impl FaultyCfe {
    /// Starts `cpu` as a fault would: not, with other arguments, or with another answer.
    fn start(&self, cpu: CpuIndex, control: CpuControl, request: &mut Request) {
        CONTEXTS[cpu.get()].store(control.a1 as u32, Ordering::Relaxed);
        let Some(kind) = take(cpu, |kind| concerns_start(*kind).then_some(*kind)) else {
            return self.0.call(request);
        };
        guard::mark(cpu);
        let with_index = |index: usize| {
            let victim = cpus::topology().cpus().get(index);
            victim.into_iter().for_each(|victim| guard::mark(victim.index));
            CpuControl { a1: control.a1 & !(GENERATION - 1) | index as u64, ..control }
        };
        let at = |place: unsafe extern "C" fn()| CpuControl {
            start_address: pointer::from_address(place as *const () as u32),
            ..control
        };
        let delayed = |delay: Duration| {
            let ticks = delay.as_nanos() * u128::from(timer::frequency()) / 1_000_000_000;
            DELAYS[control.cpu_number as usize].store(ticks as u32, Ordering::Relaxed);
            at(reveille_fault_delayed)
        };
        let (control, refusal) = match kind {
            Kind::WrongId(index) => (with_index(index.into()), None),
            Kind::Stale => (CpuControl { a1: control.a1.wrapping_sub(GENERATION), ..control }, None),
            Kind::Shared(FaultKind::WrongId) => (with_index(cpu.get() + 1), None),
            Kind::Shared(FaultKind::Dead) => (at(reveille_fault_dead), None),
            Kind::Shared(FaultKind::Late(delay)) => (delayed(delay), None),
            Kind::Shared(FaultKind::Refused(code)) => {
                request.status = code;
                return;
            }
            // So late that it is taken for refused before: QEMU may let a CPU alone run for 100 ms.
            Kind::Shared(FaultKind::RefusedYetStarts(code)) => (delayed(Duration::from_millis(250)), Some(code)),
            _ => (control, None),
        };
        request.set_parameters(control);
        self.0.call(request);
        if let Some(code) = refusal {
            request.status = code;
        }
    }

    /// Stops `cpu`, which may be denied, or take its time.
    fn stop(&self, cpu: CpuIndex, request: &mut Request) {
        if has(cpu, FaultKind::NoOff) {
            request.status = Error::InvalidCommand.code();
            return;
        }
        let kind = take(cpu, |kind| match *kind {
            Kind::Shared(kind @ (FaultKind::OffDenied(_) | FaultKind::StaysOn(_))) => Some(kind),
            _ => None,
        });
        match kind {
            Some(FaultKind::OffDenied(code)) => {
                request.status = code;
                return;
            }
            Some(FaultKind::StaysOn(time)) => let_pass(time),
            _ => {}
        }
        self.0.call(request);
    }
}

const fn concerns_start(kind: Kind) -> bool {
    use FaultKind::{Dead, Late, Refused, RefusedYetStarts, WrongId};
    match kind {
        Kind::WrongId(_) | Kind::Stale => true,
        Kind::Shared(kind) => matches!(kind, Dead | Late(_) | Refused(_) | RefusedYetStarts(_) | WrongId),
        _ => false,
    }
}
