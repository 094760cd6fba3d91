//! A guest: its memory, its vCPUs and its devices.
//!
//! - [`memory`]: what it has of the machine's memory;
//! - [`build`]: what is in it when the guest begins, and the devicetree that tells the guest of it all;
//! - [`devices`]: what is where in its addresses that is no memory;
//! - [`granted`]: devices of the machine that guest 0 has;
//! - [`psci`]: what its calls of firmware do;
//! - [`output`]: what it prints;
//! - [`call_log`]: what the host is told of its calls and its vCPUs.

pub mod build;
pub mod call_log;
pub mod devices;
pub mod granted;
pub mod memory;
pub mod output;
pub mod psci;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use core::time::Duration;

use psci_server::{CpuState, Server};
use reveille::{CpuIndex, Instant};
use reveille_runtime::arch::interrupts;
use reveille_runtime::lock::{IrqGuard, IrqLock};
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::thread::{self, Completion, SpawnError, Thread, TimedOut};
use reveille_runtime::{clock, ipi};
use vgic::{VcpuSet, Vgic};
use vpl011::Vpl011;

use crate::domains::life_cycle;
use crate::vcpu::context::Context;
use crate::vcpu::{Vcpu, timer};
use build::Start;
use call_log::CallLog;
use memory::GuestMemory;
use psci::GuestCpus;

/// The most vCPUs that a guest can have: as many redistributors as there is room for.
pub const MAX_VCPUS: usize = 64;

/// Why a guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// It called SYSTEM_OFF.
    PoweredOff = 1,
    /// It called SYSTEM_RESET.
    Reset = 2,
    /// It did what it cannot go on from.
    Crashed = 3,
    /// It was stopped from the console.
    Stopped = 4,
    /// It was reset from the console.
    ResetFromConsole = 5,
}

impl End {
    const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::PoweredOff),
            2 => Some(Self::Reset),
            3 => Some(Self::Crashed),
            4 => Some(Self::Stopped),
            5 => Some(Self::ResetFromConsole),
            _ => None,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PoweredOff => "switched itself off",
            Self::Reset => "reset itself",
            Self::Crashed => "crashed",
            Self::Stopped => "was stopped",
            Self::ResetFromConsole => "was reset",
        })
    }
}

/// What threads of vCPUs are called.
const VCPU: &str = "vcpu";

/// Whether a vCPU is bound to `cpu`.
pub fn is_home(cpu: CpuIndex) -> bool {
    thread::is_home_of(VCPU, cpu)
}

/// Where a vCPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The CPU on which it begins.
    pub cpu: CpuIndex,
    /// It runs there alone.
    pub is_bound: bool,
}

/// What others know of a vCPU.
struct Seen {
    home: Home,
    /// The CPU on which it is in the guest, or about to be, plus 1; or 0. What concerns it takes an interrupt there.
    in_guest: AtomicUsize,
    /// Completed when it is to wake up.
    wake: Completion,
    /// The same as a flag, so that many wake-ups are one.
    woken: AtomicBool,
    /// Its thread does nothing more for it.
    ended: AtomicBool,
}

/// A vCPU, as it is shown to people.
pub struct ShownVcpu {
    /// Its index.
    pub index: usize,
    /// What it does.
    pub state: &'static str,
    /// The CPU that runs it.
    pub cpu: CpuIndex,
    /// Whether it stays there.
    pub is_bound: bool,
    /// For how long it has run, in ticks of the counter.
    pub run_time: u64,
}

/// A guest.
pub struct Guest {
    /// Its number, from 0.
    pub number: usize,
    /// Its name.
    pub name: String,
    memory: GuestMemory,
    vgic: IrqLock<Vgic>,
    psci: Server<GuestCpus, MAX_VCPUS>,
    uart: IrqLock<Vpl011>,
    /// The level of its interrupt that the interrupt controller was told of; changed with the UART's lock held.
    uart_interrupt: AtomicBool,
    log: CallLog,
    vcpus: Vec<Seen>,
    /// [`End`], or 0.
    end: AtomicU8,
    /// How many vCPUs have not ended.
    running: AtomicUsize,
    threads: IrqLock<Vec<Arc<Thread>>>,
    /// When it was made.
    began: Instant,
    /// What its counter is without, modulo 2^64 (CNTVOFF_EL2).
    counter_offset: u64,
    redistributors_size: u64,
    /// Of each CPU which of its vCPUs ran there last, plus 1; or 0.
    ran_last: Vec<AtomicUsize>,
}

impl Guest {
    /// A guest whose memory is filled, with a vCPU on each of `homes`.
    ///
    /// # Errors
    /// What there is too much of.
    pub fn new(
        number: usize,
        name: &str,
        memory: GuestMemory,
        homes: impl Iterator<Item = Home>,
    ) -> Result<Self, &'static str> {
        let seen = |home| Seen {
            home,
            in_guest: AtomicUsize::new(0),
            wake: Completion::new(),
            woken: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        };
        let vcpus: Vec<Seen> = homes.map(seen).collect();
        let vgic = Vgic::new(vcpus.len(), devices::SPIS).map_err(|_| "a guest has more vCPUs than a GIC serves")?;
        let psci = Server::new(GuestCpus::new(vcpus.len(), memory.addresses()));
        Ok(Self {
            number,
            name: String::from(name),
            memory,
            redistributors_size: vgic.redistributors_size(),
            vgic: IrqLock::new(vgic),
            psci,
            uart: IrqLock::new(Vpl011::new()),
            uart_interrupt: AtomicBool::new(false),
            log: CallLog::new(number, vcpus.len()),
            running: AtomicUsize::new(vcpus.len()),
            threads: IrqLock::new(Vec::new()),
            vcpus,
            end: AtomicU8::new(0),
            began: clock::now(),
            counter_offset: timer::offset_now(),
            ran_last: (0..reveille::MAX_CPUS).map(|_| AtomicUsize::new(0)).collect(),
        })
    }

    /// Starts its threads; vCPU 0 begins as `start` says, the others are off.
    ///
    /// # Errors
    /// There is no room for a thread, or a vCPU is bound to a CPU that is not online: the guest ends at once.
    pub fn start(self: &Arc<Self>, start: &Start) -> Result<(), &'static str> {
        self.psci.platform().set_guest(Arc::downgrade(self));
        self.psci.boot(0);
        call_log::begin(self);
        for (index, seen) in self.vcpus.iter().enumerate() {
            let vcpu = Vcpu::new(Arc::clone(self), index);
            let first = (index == 0).then_some(start.entry());
            let Home { cpu, is_bound } = seen.home;
            let run = move || vcpu.run(first);
            let thread = if is_bound {
                thread::spawn_bound(VCPU, cpu, run).map_err(|error| match error {
                    SpawnError::NoStack(_) => "there is no room for a vCPU's thread",
                    SpawnError::Offline(_) => "a CPU that a vCPU is bound to is not online",
                })
            } else {
                thread::spawn_free(VCPU, cpu, run).map_err(|_| "there is no room for a vCPU's thread")
            };
            match thread {
                Ok(thread) => self.threads.lock().push(thread),
                Err(reason) => {
                    self.end(End::Crashed);
                    (index..self.vcpus.len()).for_each(|vcpu| self.vcpu_has_ended(vcpu));
                    return Err(reason);
                }
            }
        }
        Ok(())
    }

    /// For how long each of its vCPUs has run, in ticks of the counter.
    pub fn vcpu_times(&self) -> Vec<u64> {
        self.threads.lock().iter().map(|thread| thread.run_time()).collect()
    }

    /// The CPU on which the vCPU is.
    fn cpu_of(&self, vcpu: usize) -> CpuIndex {
        self.threads.lock().get(vcpu).map_or(self.vcpus[vcpu].home.cpu, |thread| thread.cpu())
    }

    /// Its interrupt controller.
    pub fn vgic(&self) -> IrqGuard<'_, Vgic> {
        self.vgic.lock()
    }

    /// What answers its calls of firmware.
    pub fn psci(&self) -> &Server<GuestCpus, MAX_VCPUS> {
        &self.psci
    }

    /// Where its calls of firmware are kept for the host.
    pub fn log(&self) -> &CallLog {
        &self.log
    }

    /// What the registers of a vCPU with these affinity fields are after reset.
    pub fn reset_context(&self, affinity: u64) -> Context {
        // The numbers of guests are few; 0 is that of the time before there was a guest.
        Context::reset(affinity, self.memory.vttbr(self.number as u8 + 1), self.counter_offset)
    }

    /// Notes the CPU on which the vCPU is in the guest. By its own thread, with interrupts masked.
    pub fn set_in_guest(&self, vcpu: usize, cpu: Option<CpuIndex>) {
        self.vcpus[vcpu].in_guest.store(cpu.map_or(0, |cpu| cpu.get() + 1), Ordering::SeqCst);
    }

    /// Whether another vCPU of the guest was the last that ran on this CPU, where this one does from now on. Interrupts are masked.
    pub fn comes_after_another(&self, vcpu: usize) -> bool {
        let last = self.ran_last[smp_processor_id().get()].swap(vcpu + 1, Ordering::Relaxed);
        last != 0 && last != vcpu + 1
    }

    /// Has the vCPU look at what it has to do: wakes it if it sleeps, and has it come out of the guest.
    pub fn wake(&self, vcpu: usize) {
        let Some(seen) = self.vcpus.get(vcpu) else { return };
        if !seen.woken.swap(true, Ordering::SeqCst) {
            seen.wake.complete();
        }
        let _masked = interrupts::mask();
        let cpu = seen.in_guest.load(Ordering::SeqCst).checked_sub(1).and_then(CpuIndex::new);
        if let Some(cpu) = cpu.filter(|&cpu| cpu != smp_processor_id()) {
            ipi::nudge(cpu);
        }
    }

    /// The same for all of a set.
    pub fn wake_all(&self, vcpus: &VcpuSet) {
        if !vcpus.is_empty() {
            vcpus.iter().for_each(|vcpu| self.wake(vcpu));
        }
    }

    /// Waits, as the thread of this vCPU, until it is woken or the machine's counter reaches `deadline`. May return early.
    pub fn wait(&self, vcpu: usize, deadline: u64) {
        let seen = &self.vcpus[vcpu];
        // Which of both it was shows in what there is to do.
        let _ = seen.wake.wait(deadline);
        seen.woken.store(false, Ordering::SeqCst);
    }

    /// Ends it, for the first reason that there is.
    pub fn end(&self, end: End) {
        if self.end.compare_exchange(0, end as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            (0..self.vcpus.len()).for_each(|vcpu| self.wake(vcpu));
        }
    }

    /// Ends it and says why.
    pub fn crash(&self, reason: fmt::Arguments<'_>) {
        output::say(format_args!("Guest {} ({}): {reason}", self.number, self.name));
        self.end(End::Crashed);
    }

    /// Whether its vCPUs are to stop.
    pub fn is_ending(&self) -> bool {
        self.end.load(Ordering::SeqCst) != 0
    }

    /// A vCPU is not run any more. With the last one the guest is at its end.
    pub fn vcpu_has_ended(&self, vcpu: usize) {
        self.vcpus[vcpu].ended.store(true, Ordering::Release);
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            life_cycle::guest_has_ended();
        }
    }

    /// Why it is at its end, if it is: none of its vCPUs runs any more.
    pub fn ended(&self) -> Option<End> {
        let is_over = self.running.load(Ordering::Acquire) == 0;
        is_over.then(|| End::from_raw(self.end.load(Ordering::SeqCst)).unwrap_or(End::Crashed))
    }

    /// Its vCPUs, as they are shown to people.
    pub fn shown_vcpus(&self) -> impl Iterator<Item = ShownVcpu> {
        let times = self.vcpu_times();
        self.vcpus.iter().enumerate().map(move |(index, seen)| {
            let state = match self.psci.state(index) {
                _ if seen.ended.load(Ordering::Acquire) => "ended",
                Some(CpuState::On) if seen.in_guest.load(Ordering::Relaxed) != 0 => "in guest",
                Some(CpuState::On) => "on",
                Some(CpuState::Suspended) => "suspended",
                Some(CpuState::OnPending) => "coming up",
                Some(CpuState::Off) | None => "off",
            };
            let run_time = times.get(index).copied().unwrap_or_default();
            ShownVcpu { index, state, cpu: self.cpu_of(index), is_bound: seen.home.is_bound, run_time }
        })
    }

    /// The size of its memory, in bytes.
    pub fn memory_size(&self) -> u64 {
        let addresses = self.memory.addresses();
        addresses.end - addresses.start
    }

    /// A vCPU that has not ended, and its CPU.
    pub fn lingering(&self) -> Option<(usize, CpuIndex)> {
        let lingers = |(_, seen): &(usize, &Seen)| !seen.ended.load(Ordering::Acquire);
        self.vcpus.iter().enumerate().find(lingers).map(|(vcpu, _)| (vcpu, self.cpu_of(vcpu)))
    }

    /// Waits for the threads of a guest that is at its end: then they hold nothing of it.
    ///
    /// # Errors
    /// [`TimedOut`] if one has not ended when the counter reaches `deadline`.
    pub fn join(&self, deadline: u64) -> Result<(), TimedOut> {
        let threads = core::mem::take(&mut *self.threads.lock());
        threads.iter().try_for_each(|thread| thread.join(deadline))
    }

    /// How long it has been there.
    pub fn age(&self) -> Duration {
        Duration::from_nanos(clock::now().nanos_since(self.began))
    }
}
