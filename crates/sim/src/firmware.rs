//! The machine's firmware, after PSCI (DEN0022), which fails as it is told; and who may use the memory of a CPU.

use std::panic::resume_unwind;

use reveille::{CallError, ContextId, Cpu, CpuIndex, EnableMethod, Event, FirmwareState, Outcome};
use reveille_trace_format::{KICK, Phase};

use crate::fault::{FaultKind, psci_code};
use crate::world::{Job, Power, World};

/// What unwinds the thread of control of a CPU that is switched off.
pub(crate) struct SwitchedOff;

fn refusal(call: &'static str, code: i64) -> CallError {
    CallError { call, code, meaning: psci_code(code) }
}

const ALREADY_ON: i64 = -4;
const ON_PENDING: i64 = -5;
const NOT_SUPPORTED: i64 = -1;

impl World<'_> {
    /// What firmware says of `cpu` now.
    fn power(&self, cpu: CpuIndex) -> Power {
        let mut state = self.state();
        let now = state.now;
        let processor = &mut state.processors[cpu.get()];
        if processor.off_at.is_some_and(|time| time <= now) {
            processor.off_at = None;
            processor.power = Power::Off;
        }
        processor.power
    }

    /// Starts `cpu` with `context`, once or twice, now or later, or not at all.
    fn start(&self, cpu: CpuIndex, context: ContextId) {
        let delay = {
            let mut state = self.state();
            state.processors[cpu.get()].power = Power::OnPending;
            let power_up = self.settings.power_up;
            power_up / 2 + state.rng.u64(0..=power_up)
        };
        if self.has_fault(cpu, FaultKind::Dead) {
            return;
        }
        let late = |kind| if let FaultKind::Late(time) = kind { Some(time) } else { None };
        let delay = self.fault(cpu, late).map_or(delay, |time| time.as_nanos() as u64);
        let mut raw = context.to_raw();
        if self.has_fault(cpu, FaultKind::WrongId) {
            let other = (cpu.get() + 1) % self.settings.cpus.max(2);
            raw = raw & !0xffff | other as u32;
        }
        self.spawn(Job::Arrive { cpu, context: raw }, Some(cpu), delay);
        if self.has_fault(cpu, FaultKind::Twice) {
            let apart = self.state().rng.u64(0..=4 * self.settings.power_up);
            self.spawn(Job::Arrive { cpu, context: raw }, Some(cpu), delay + apart);
        }
    }

    /// The memory of `cpu` is made ready for it.
    pub(crate) fn lend(&self, cpu: CpuIndex) {
        if self.state().processors[cpu.get()].used {
            self.violation(&format!("CPU {cpu} uses its memory, and it is prepared again"));
        }
        let mut state = self.state();
        let processor = &mut state.processors[cpu.get()];
        processor.lent = true;
        processor.record.forget_lost(self.settings.bringup);
    }

    /// The memory of `cpu` may be given to others.
    pub(crate) fn take_back(&self, cpu: CpuIndex) {
        if self.state().processors[cpu.get()].used {
            self.violation(&format!("CPU {cpu} uses its memory, and it is given to others"));
        }
        self.state().processors[cpu.get()].lent = false;
    }

    /// `cpu` begins to use its memory.
    pub(crate) fn use_memory(&self, cpu: CpuIndex) {
        let lent = self.state().processors[cpu.get()].lent;
        if !lent {
            self.violation(&format!("CPU {cpu} uses memory that is no longer its own"));
        }
        self.state().processors[cpu.get()].used = true;
    }

    pub(crate) fn heard(&self, cpu: CpuIndex, event: Event) {
        match event {
            Event::Kick => {
                self.trace(CpuIndex::BOOT, Phase::Begin, "cpu_up", Some(cpu));
                self.trace(CpuIndex::BOOT, Phase::Instant, KICK, Some(cpu));
            }
            Event::Kicked => self.trace(CpuIndex::BOOT, Phase::End, "cpu_up", None),
            Event::Done(Outcome::Failed(_) | Outcome::TimedOut(_)) => self.take_back(cpu),
            Event::Prepare | Event::Prepared | Event::Wait | Event::Done(_) => {}
        }
        self.look_aside();
    }

    /// Switches `cpu` off, for a thread of control that ends.
    pub(crate) fn power_off(&self, cpu: CpuIndex) {
        let stays_on = |kind| if let FaultKind::StaysOn(time) = kind { Some(time.as_nanos() as u64) } else { None };
        let stays_on = self.fault(cpu, stays_on);
        let mut state = self.state();
        let now = state.now;
        let processor = &mut state.processors[cpu.get()];
        if processor.running > 1 {
            return;
        }
        match stays_on {
            Some(time) => processor.off_at = Some(now.saturating_add(time)),
            None if self.settings.stopped_from_outside => {}
            None => processor.power = Power::Off,
        }
        processor.used = false;
        processor.record.lost = true;
    }
}

impl EnableMethod for World<'_> {
    fn name(&self) -> &'static str {
        "psci"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        self.look_aside();
        Ok(())
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let cpu = cpu.index;
        self.step_aside();
        let refused = |kind| match kind {
            FaultKind::Refused(code) => Some((code, false)),
            FaultKind::RefusedYetStarts(code) => Some((code, true)),
            _ => None,
        };
        let power = match self.power(cpu) {
            Power::Off => Ok(()),
            Power::On => Err(refusal("CPU_ON", ALREADY_ON)),
            Power::OnPending => Err(refusal("CPU_ON", ON_PENDING)),
        };
        let answer = match (self.fault(cpu, refused), power) {
            (Some((code, false)), _) => Err(refusal("CPU_ON", code)),
            (_, Err(error)) => Err(error),
            (starts, Ok(())) => {
                self.start(cpu, context);
                starts.map_or(Ok(()), |(code, _)| Err(refusal("CPU_ON", code)))
            }
        };
        self.step_aside();
        answer
    }

    fn cpu_can_disable(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.look_aside();
        if self.has_fault(cpu.index, FaultKind::NoOff) { Err(refusal("CPU_OFF", NOT_SUPPORTED)) } else { Ok(()) }
    }

    fn cpu_die(&self, cpu: &Cpu) -> i64 {
        let cpu = cpu.index;
        // It has said that it touches nothing more.
        self.state().processors[cpu.get()].used = false;
        self.step_aside();
        let denied = |kind| if let FaultKind::OffDenied(code) = kind { Some(code) } else { None };
        if let Some(code) = self.fault(cpu, denied) {
            return code;
        }
        self.power_off(cpu);
        self.step_aside();
        resume_unwind(Box::new(SwitchedOff))
    }

    fn die_error(&self, code: i64) -> CallError {
        refusal("CPU_OFF", code)
    }

    fn cpu_kill(&self, cpu: &Cpu) -> FirmwareState {
        if !self.settings.stopped_from_outside {
            return self.affinity_info(cpu);
        }
        self.step_aside();
        if self.state().processors[cpu.index.get()].used {
            self.violation(&format!("CPU {} is stopped while it runs", cpu.index));
        }
        self.state().processors[cpu.index.get()].power = Power::Off;
        FirmwareState::Off
    }

    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        self.look_aside();
        if !self.settings.affinity_info {
            return FirmwareState::Unknown;
        }
        match self.power(cpu.index) {
            Power::Off => FirmwareState::Off,
            Power::OnPending => FirmwareState::OnPending,
            Power::On => FirmwareState::On,
        }
    }
}
