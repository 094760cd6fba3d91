//! CPUs that firmware parks at mailboxes (ACPI's parking protocol, version 1): firmware's side of it, the pen that they go on to, and
//! what an enable method needs of such a machine ([`Hardware`]).
//!
//! A mailbox is memory of the host, which a method reads and writes as it would on a real machine. What it writes is seen by the CPU
//! there when the method has it complete, and by chance before: the CPU looks whenever it is interrupted, and goes where the mailbox
//! says once the id in it is its own. The address must be there by then.

use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use reveille::hotplug::Hotplug;
use reveille::{ContextId, Cpu, CpuIndex, EnableMethod};
use reveille_trace_format::Phase;

use crate::fault::FaultKind;
use crate::fiber::{Pause, suspend};
use crate::firmware::SwitchedOff;
use crate::processor::{self, Left};
use crate::world::World;

/// What is wrong with a CPU where firmware parks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedFault {
    /// Interrupts do not reach it: it never acknowledges. (One that acknowledges and does not arrive is [`FaultKind::Dead`].)
    StaysParked,
    /// Its mailbox says that it is another CPU's.
    OtherId,
    /// It is woken without a reason, whenever something happens that might be one.
    Spurious,
}

/// Makes the enable method of a machine.
pub(crate) type MakeMethod<'m> = dyn for<'w> Fn(Hardware<'w, 'm>) -> Box<dyn EnableMethod + 'w> + 'm;

/// Who an idle mailbox is for.
const NOBODY: u32 = u32::MAX;

/// A mailbox as the control CPU sees it. Little-endian.
#[repr(C)]
struct Mailbox {
    cpu_id: AtomicU32,
    reserved: AtomicU32,
    jump_address: AtomicU64,
}

/// The first mailbox lies here, each further one in the next page, in the order of the MADT.
pub(crate) const MAILBOXES: u64 = 0x8000_0000;
pub(crate) const PAGE: u64 = 0x1000;

/// What wakes a CPU that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wakes {
    Interrupt,
    Event,
}

/// One CPU, as far as firmware and the pen have it.
#[derive(Clone, Debug)]
pub(crate) struct Parked {
    /// What of its mailbox has reached memory.
    cpu_id: u32,
    jump_address: u64,
    /// Firmware has let it go.
    gone: bool,
    interrupted: bool,
    event: bool,
    /// The task that waits, and for what.
    waits: Option<(usize, Wakes)>,
    /// What lets it out of the pen.
    word: u32,
}

impl Parked {
    pub(crate) const NEW: Self =
        Self { cpu_id: NOBODY, jump_address: 0, gone: false, interrupted: false, event: false, waits: None, word: 0 };

    fn pending(&mut self, wakes: Wakes) -> &mut bool {
        match wakes {
            Wakes::Interrupt => &mut self.interrupted,
            Wakes::Event => &mut self.event,
        }
    }
}

/// The mailboxes of a machine, by the logical number of their CPUs.
pub(crate) struct Mailboxes(Vec<Mailbox>);

impl Mailboxes {
    pub(crate) fn new(cpus: usize) -> Self {
        let idle = || Mailbox {
            cpu_id: AtomicU32::new(NOBODY.to_le()),
            reserved: AtomicU32::new(0),
            jump_address: AtomicU64::new(0),
        };
        Self((0..cpus).map(|_| idle()).collect())
    }
}

/// What an enable method needs of a machine whose CPUs are parked.
#[derive(Clone, Copy)]
pub struct Hardware<'w, 'm> {
    pub(crate) world: &'w World<'m>,
}

impl Hardware<'_, '_> {
    /// The physical address of the pen.
    pub const PEN: u64 = 0x4020_1000;

    /// The 16 bytes of the mailbox at a physical address: the id of the CPU (4 bytes), 4 bytes that nobody uses, the address where it
    /// goes on (8 bytes). They are there for as long as the machine runs, and nobody else touches them while the caller runs.
    #[must_use]
    pub fn mailbox(&self, physical: u64) -> Option<NonNull<u8>> {
        let cpu = self.world.topology.cpus().iter().find(|cpu| cpu.release_address == Some(physical))?;
        self.world.mailboxes.0.get(cpu.index.get()).map(|mailbox| NonNull::from(mailbox).cast())
    }

    /// What was written to mailboxes before is in memory before what comes next.
    pub fn complete_writes(&self) {
        self.world.complete_writes();
        self.world.disturb();
        self.world.step_aside();
    }

    /// Interrupts the CPU with this interface to the interrupt controller.
    pub fn interrupt(&self, cpu_interface: u32) {
        let called = |cpu: &&Cpu| cpu.acpi.is_some_and(|acpi| acpi.cpu_interface == cpu_interface);
        if let Some(cpu) = self.world.topology.cpus().iter().find(called) {
            self.world.wake_parked(cpu.index, Wakes::Interrupt);
        }
        self.world.step_aside();
    }

    /// Lets `cpu` out of the pen, with `context`.
    pub fn release(&self, cpu: CpuIndex, context: ContextId) {
        self.world.state().parked[cpu.get()].word = context.to_raw();
        for cpu in self.world.topology.cpus() {
            self.world.wake_parked(cpu.index, Wakes::Event);
        }
        self.world.disturb();
        self.world.step_aside();
    }

    /// The CPU that runs goes into the pen.
    pub fn enter_pen(&self) -> ! {
        let cpu = {
            let state = self.world.state();
            state.tasks[state.running].cpu
        };
        let Some(cpu) = cpu else { self.world.violation("a thread that is no CPU's goes into the pen") };
        // It has said that it touches nothing more.
        self.world.power_off(cpu);
        self.world.step_aside();
        resume_unwind(Box::new(SwitchedOff))
    }
}

/// The whole life of `cpu`: at its mailbox, in the pen, as any other, and in the pen again.
pub(crate) fn live(world: &World<'_>, hotplug: Hotplug<'_>, cpu: CpuIndex) {
    let address = world.wait_at_mailbox(cpu);
    if address != Hardware::PEN {
        world.violation(&format!("CPU {cpu} jumps to {address:#x}, where there is nothing for it"));
    }
    // The word with which it came out last does not count again, unless it goes into the pen as if for the first time.
    let mut last = 0;
    loop {
        let word = world.wait_in_pen(cpu, last);
        last = match processor::live(world, hotplug, cpu, word) {
            Left::Nobody => word,
            Left::Dead => 0,
        };
    }
}

impl World<'_> {
    fn has_parked_fault(&self, cpu: CpuIndex, fault: ParkedFault) -> bool {
        self.state().parked_faults.contains(&(cpu.get(), fault))
    }

    /// The id by which the mailbox of `cpu` calls it.
    fn interface(&self, cpu: CpuIndex) -> Option<u32> {
        self.topology.cpus()[cpu.get()].acpi.map(|acpi| acpi.cpu_interface)
    }

    /// Sets the mailboxes up as firmware does before the machine starts.
    pub(crate) fn set_up_mailboxes(&self) {
        for cpu in self.topology.cpus() {
            if self.has_parked_fault(cpu.index, ParkedFault::OtherId) {
                let other = self.interface(cpu.index).map_or(0, |interface| interface + 1);
                self.mailboxes.0[cpu.index.get()].cpu_id.store(other.to_le(), Ordering::Relaxed);
            }
        }
        self.complete_writes();
    }

    fn complete_writes(&self) {
        (0..self.mailboxes.0.len()).for_each(|cpu| self.drain(cpu));
    }

    /// What was written to the mailbox of the CPU `cpu` reaches memory.
    fn drain(&self, cpu: usize) {
        let mailbox = &self.mailboxes.0[cpu];
        let mut state = self.state();
        let parked = &mut state.parked[cpu];
        parked.cpu_id = u32::from_le(mailbox.cpu_id.load(Ordering::Relaxed));
        parked.jump_address = u64::from_le(mailbox.jump_address.load(Ordering::Relaxed));
    }

    /// Wakes some of the CPUs that are woken without a reason.
    fn disturb(&self) {
        for cpu in self.topology.cpus() {
            let parked = !self.state().parked[cpu.index.get()].gone;
            if parked && self.has_parked_fault(cpu.index, ParkedFault::Spurious) && self.state().rng.bool() {
                self.wake_parked(cpu.index, Wakes::Interrupt);
            }
        }
    }

    fn wake_parked(&self, cpu: CpuIndex, wakes: Wakes) {
        let mut state = self.state();
        let (now, moment) = (state.now, state.moment());
        let parked = &mut state.parked[cpu.get()];
        *parked.pending(wakes) = true;
        if let Some((task, _)) = parked.waits.take_if(|(_, awaited)| *awaited == wakes) {
            state.wake(task, now + moment);
        }
    }

    fn wait_for(&self, cpu: CpuIndex, wakes: Wakes) {
        let sleeps = {
            let mut state = self.state();
            let running = state.running;
            let parked = &mut state.parked[cpu.get()];
            let pending = *parked.pending(wakes);
            parked.waits = (!pending).then_some((running, wakes));
            !pending
        };
        if sleeps {
            suspend(Pause::UntilWoken);
        } else {
            self.look_aside();
        }
        *self.state().parked[cpu.get()].pending(wakes) = false;
    }

    /// What firmware does on a CPU that it parks; where it goes on.
    fn wait_at_mailbox(&self, cpu: CpuIndex) -> u64 {
        // Before it looks, or after it has acknowledged.
        let late_here = self.state().rng.bool();
        loop {
            self.wait_for(cpu, Wakes::Interrupt);
            if self.has_parked_fault(cpu, ParkedFault::StaysParked) {
                continue;
            }
            if late_here {
                self.be_late(cpu);
            }
            // What was written and not completed may be there or not.
            if self.state().rng.bool() {
                self.drain(cpu.get());
            }
            let id = self.state().parked[cpu.get()].cpu_id;
            self.step_aside();
            if Some(id) == self.interface(cpu) {
                break;
            }
        }
        let address = self.acknowledge(cpu);
        self.trace(cpu, Phase::Instant, "mailbox_acknowledged", None);
        self.step_aside();
        if self.has_fault(cpu, FaultKind::Dead) {
            processor::stop();
        }
        if !late_here {
            self.be_late(cpu);
        }
        let power_up = self.settings.power_up;
        let delay = power_up / 2 + self.state().rng.u64(0..=power_up);
        suspend(Pause::For(delay));
        address
    }

    fn be_late(&self, cpu: CpuIndex) {
        let late = |kind| if let FaultKind::Late(time) = kind { Some(time) } else { None };
        if let Some(time) = self.fault(cpu, late) {
            crate::world::pause(time);
        }
    }

    /// Takes the address out of the mailbox of `cpu`.
    fn acknowledge(&self, cpu: CpuIndex) -> u64 {
        let mut state = self.state();
        let parked = &mut state.parked[cpu.get()];
        parked.gone = true;
        let address = std::mem::take(&mut parked.jump_address);
        // Another write that is on its way comes after this one.
        let seen = &self.mailboxes.0[cpu.get()].jump_address;
        let _ = seen.compare_exchange(address.to_le(), 0, Ordering::Relaxed, Ordering::Relaxed);
        address
    }

    /// What lets `cpu` out of the pen, if it is not `last`.
    fn wait_in_pen(&self, cpu: CpuIndex, last: u32) -> u32 {
        loop {
            self.step_aside();
            let word = self.state().parked[cpu.get()].word;
            if word != 0 && word != last {
                return word;
            }
            self.wait_for(cpu, Wakes::Event);
        }
    }
}
