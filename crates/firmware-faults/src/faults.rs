//! A provider that misbehaves: what is answered, and when CPUs come, where a fault is asked for.
//!
//! Times are those of the firmware's counter, in its ticks.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use psci_server::{Answer, CpuState, Platform, Server};
use reveille_sim::fault::{FirmwareFault, FirmwareFaultKind, Says};

const WIDE: u32 = 1 << 30;
const CPU_OFF: u32 = 0x8400_0002;
const CPU_ON: u32 = 0x8400_0003;
const AFFINITY_INFO: u32 = 0x8400_0004;
const SUCCESS: i64 = 0;
const ALREADY_ON: i64 = -4;
/// A CPU that nobody has powered on.
const NOT_ASKED: u64 = u64::MAX;
const NEVER: u64 = u64::MAX;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The answer.
    pub answer: Answer,
    /// The CPU that the call is about, where it names one.
    pub target: Option<usize>,
    /// Whether a fault has changed what the call does or what is answered.
    pub faulty: bool,
}

/// Whether a CPU that was woken may ask what to enter with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowersUp {
    /// It may.
    Now,
    /// It takes until then.
    At(u64),
    /// It has not been powered on, or never comes.
    Never,
}

/// What is wrong with each CPU, and what must be remembered for it.
pub struct Faults<const CPUS: usize> {
    cpus: [Cpu; CPUS],
    /// Whether anything is.
    any: bool,
    /// When the last CPU_ON was carried out.
    carried_out: AtomicU64,
}

struct Cpu {
    is_dead: bool,
    power_up: u64,
    refused: Option<i64>,
    starts_all_the_same: bool,
    dropped: u64,
    off_denied: Option<i64>,
    stays_on: u64,
    lies: Option<Says>,
    /// When it is up, once it has been powered on.
    up: AtomicU64,
    /// When it was switched off.
    off: AtomicU64,
}

impl Cpu {
    const fn well() -> Self {
        Self {
            is_dead: false,
            power_up: 0,
            refused: None,
            starts_all_the_same: false,
            dropped: 0,
            off_denied: None,
            stays_on: 0,
            lies: None,
            up: AtomicU64::new(NOT_ASKED),
            off: AtomicU64::new(NEVER),
        }
    }

    /// Whether it is said to be on although it is off.
    fn seems_on(&self, now: u64) -> bool {
        let off = self.off.load(Ordering::Relaxed);
        self.stays_on > 0 && off != NEVER && now.saturating_sub(off) < self.stays_on
    }

    /// What AFFINITY_INFO says of it instead of the truth.
    fn says(&self, is_off: bool, now: u64) -> Option<Answer> {
        let says = self.lies.or_else(|| (is_off && self.seems_on(now)).then_some(Says::On))?;
        Some(Answer::Return(match says {
            Says::On => 0,
            Says::Off => 1,
            Says::OnPending => 2,
        }))
    }
}

impl<const CPUS: usize> Faults<CPUS> {
    /// Nothing is wrong.
    #[must_use]
    pub const fn none() -> Self {
        Self { cpus: [const { Cpu::well() }; CPUS], any: false, carried_out: AtomicU64::new(NEVER) }
    }

    /// Makes something wrong. Of two faults of one kind the last counts.
    pub fn add(&mut self, fault: &FirmwareFault, ticks: impl Fn(Duration) -> u64) {
        self.any = true;
        for (_, cpu) in self.cpus.iter_mut().enumerate().filter(|(place, _)| fault.concerns(*place)) {
            match fault.kind {
                FirmwareFaultKind::Dead => cpu.is_dead = true,
                FirmwareFaultKind::Late(time) | FirmwareFaultKind::PowerUp(time) => cpu.power_up = ticks(time),
                FirmwareFaultKind::Refused(code) => (cpu.refused, cpu.starts_all_the_same) = (Some(code), false),
                FirmwareFaultKind::RefusedYetStarts(code) => {
                    (cpu.refused, cpu.starts_all_the_same) = (Some(code), true);
                }
                FirmwareFaultKind::Dropped(time) => cpu.dropped = ticks(time),
                FirmwareFaultKind::OffDenied(code) => cpu.off_denied = Some(code),
                FirmwareFaultKind::StaysOn(time) => cpu.stays_on = ticks(time),
                FirmwareFaultKind::Lies(says) => cpu.lies = Some(says),
            }
        }
    }

    /// Whether a CPU never comes.
    #[must_use]
    pub fn is_dead(&self, cpu: usize) -> bool {
        self.cpus[cpu].is_dead
    }

    /// What [`Platform::power_on`] has to do now: whether the CPU is to be woken.
    pub fn power_on(&self, cpu: usize, now: u64) -> bool {
        let cpu = &self.cpus[cpu];
        if !cpu.is_dead {
            cpu.up.store(now.saturating_add(cpu.power_up), Ordering::Release);
        }
        !cpu.is_dead
    }

    /// On a CPU that was off and that something has woken: whether it is up.
    #[must_use]
    pub fn powers_up(&self, cpu: usize, now: u64) -> PowersUp {
        match self.cpus[cpu].up.load(Ordering::Acquire) {
            NOT_ASKED => PowersUp::Never,
            up if up <= now => PowersUp::Now,
            up => PowersUp::At(up),
        }
    }

    /// Has `server` answer a call that `caller` makes now, unless something is wrong.
    pub fn handle<P: Platform, const N: usize>(
        &self,
        server: &Server<P, N>,
        caller: usize,
        registers: [u64; 4],
        now: u64,
    ) -> Handled {
        let target = server.target(registers);
        let well = || server.handle(caller, registers);
        let (answer, faulty) = match (registers[0] as u32 & !WIDE, target) {
            (CPU_OFF, _) => self.cpu_off(caller, now, well),
            (CPU_ON, Some(target)) if self.any => {
                let is_off = server.state(target) == Some(CpuState::Off);
                self.cpu_on(target, is_off, now, well)
            }
            (AFFINITY_INFO, Some(target)) if self.any => {
                let is_off = server.state(target) == Some(CpuState::Off);
                self.cpus[target].says(is_off, now).map_or_else(|| (well(), false), |answer| (answer, true))
            }
            _ => (well(), false),
        };
        Handled { answer, target, faulty }
    }

    fn cpu_off(&self, caller: usize, now: u64, well: impl FnOnce() -> Answer) -> (Answer, bool) {
        let cpu = &self.cpus[caller];
        if let Some(code) = cpu.off_denied {
            return (answer(code), true);
        }
        // Before the server lets anybody switch it on again.
        cpu.up.store(NOT_ASKED, Ordering::Relaxed);
        cpu.off.store(now, Ordering::Relaxed);
        (well(), false)
    }

    fn cpu_on(&self, target: usize, is_off: bool, now: u64, well: impl FnOnce() -> Answer) -> (Answer, bool) {
        let cpu = &self.cpus[target];
        if is_off && cpu.seems_on(now) {
            return (answer(ALREADY_ON), true);
        }
        if let Some(code) = cpu.refused.filter(|_| !cpu.starts_all_the_same) {
            return (answer(code), true);
        }
        let before = self.carried_out.load(Ordering::Relaxed);
        if before != NEVER && now.saturating_sub(before) < cpu.dropped {
            return (answer(SUCCESS), true);
        }
        let true_answer = well();
        if true_answer != answer(SUCCESS) {
            return (true_answer, false);
        }
        self.carried_out.store(now, Ordering::Relaxed);
        (cpu.refused.map_or(true_answer, answer), cpu.refused.is_some() || cpu.is_dead)
    }
}

const fn answer(code: i64) -> Answer {
    Answer::Return(code as u64)
}
