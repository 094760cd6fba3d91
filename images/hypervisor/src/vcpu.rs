//! A virtual CPU: a thread that enters the guest, and does what the guest cannot.
//!
//! - [`enter`]: into the guest and out of it;
//! - [`context`]: what of it stays in the CPU's registers between two turns;
//! - [`list_registers`] and [`timer`]: its interrupts, and its timer;
//! - [`exit`]: why the guest came out, and what is done about it; [`system_register`] and [`inject`] are parts of that.

pub mod context;
pub mod enter;
mod exit;
mod inject;
pub mod list_registers;
mod system_register;
pub mod timer;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use psci_server::Entry;
use reveille_runtime::arch::interrupts;
use reveille_runtime::per_cpu;
use reveille_runtime::thread::{self, Thread};
use spin::Once;
use vgic::affinity;

use crate::guest::Guest;
use crate::virt;
use context::{Context, write_register};
use enter::forget_translations;
use enter::{Exception, Registers};
use exit::{AtOnce, Syndrome};

/// What a CPU may have in its registers of a vCPU that does not run just now. Until these are saved the vCPU's thread stays on that CPU.
struct Loadable {
    /// Touched by the vCPU's CPU only, with interrupts masked.
    context: UnsafeCell<Context>,
    guest: Arc<Guest>,
    index: usize,
    /// Once it runs.
    thread: Once<Arc<Thread>>,
}

impl Loadable {
    /// Whether the CPU that it is on has it in its registers. By that CPU, with interrupts masked; when it does not, the vCPU may go on, and end,
    /// on another CPU at once.
    fn keep_here(&self, keep: bool) {
        if let Some(thread) = self.thread.get() {
            thread.keep_here(keep);
        }
    }
}

per_cpu! {
    /// Whose [`Context`] this CPU has; null at first. It lives while it is here.
    static LOADED: AtomicPtr<Loadable> = AtomicPtr::new(ptr::null_mut());
}

/// The interrupt of the guest's timer: the vCPU may be asleep.
pub fn timer_interrupt() {
    timer::take(false);
    // SAFETY: null, or a vCPU that takes itself out of here before it ends, on this CPU, with interrupts masked.
    if let Some(loaded) = unsafe { LOADED.load(Ordering::Relaxed).as_ref() } {
        loaded.guest.wake(loaded.index);
    }
}

/// Has this CPU, which masks interrupts, have no vCPU in its registers: those that are on it may go elsewhere.
pub fn put_away() {
    // SAFETY: null, or a vCPU of this CPU, since it stays until this is done; its thread does not run.
    let Some(loaded) = (unsafe { LOADED.swap(ptr::null_mut(), Ordering::Relaxed).as_ref() }) else { return };
    // SAFETY: as above.
    unsafe { (*loaded.context.get()).save() };
    write_register!("vttbr_el2", 0);
    loaded.keep_here(false);
}

/// Why a vCPU no longer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// It was switched off.
    Off,
    /// Its guest ends.
    GuestEnds,
}

/// Why the guest's turn is over.
enum Exit {
    /// For something that is done.
    Done,
    /// For something that is to be done.
    Of(Exception),
}

/// A vCPU, as its thread has it.
pub struct Vcpu {
    registers: Registers,
    loadable: Box<Loadable>,
}

impl Vcpu {
    /// The vCPU with this index.
    pub fn new(guest: Arc<Guest>, index: usize) -> Self {
        let context = UnsafeCell::new(guest.reset_context(affinity(index)));
        let loadable = Box::new(Loadable { context, guest, index, thread: Once::new() });
        Self { registers: Registers::default(), loadable }
    }

    fn guest(&self) -> &Guest {
        &self.loadable.guest
    }

    fn index(&self) -> usize {
        self.loadable.index
    }

    /// What its thread does: runs the guest whenever the vCPU is on, until the guest ends. `first` is where the vCPU begins that is on
    /// from the beginning.
    pub fn run(mut self, mut first: Option<Entry>) {
        self.loadable.thread.call_once(thread::current);
        loop {
            if self.guest().is_ending() {
                break;
            }
            match first.take().or_else(|| self.guest().psci().enter(self.index())) {
                Some(entry) => {
                    self.guest().log().entered(self.index(), entry);
                    self.reset(entry);
                    if self.run_until_stopped() == Stopped::GuestEnds {
                        break;
                    }
                }
                None => self.guest().wait(self.index(), u64::MAX),
            }
        }
        self.unload();
        let (guest, index) = (Arc::clone(&self.loadable.guest), self.index());
        drop(self);
        guest.vcpu_has_ended(index);
    }

    fn reset(&mut self, entry: Entry) {
        /// EL1h, with everything masked.
        const PSTATE: u64 = 0x3c5;
        self.unload();
        // SAFETY: no CPU has it loaded, and it is this thread's.
        unsafe { *self.loadable.context.get() = self.guest().reset_context(affinity(self.index())) };
        self.registers = Registers { pc: entry.address, pstate: PSTATE, ..Registers::default() };
        self.registers.x[0] = entry.context_id;
    }

    fn run_until_stopped(&mut self) -> Stopped {
        loop {
            if let Some(stopped) = self.take_turn() {
                return stopped;
            }
        }
    }

    /// Runs the guest until it comes out for more than can be done at once, and does that.
    fn take_turn(&mut self) -> Option<Stopped> {
        let masked = interrupts::mask();
        self.load();
        let Some(exit) = self.enter() else { return Some(Stopped::GuestEnds) };
        let after = match exit {
            // An interrupt comes in when interrupts are no longer masked.
            Exit::Done | Exit::Of(Exception::Interrupt) => exit::After::Nothing,
            Exit::Of(Exception::Synchronous) => self.handle(&Syndrome::read()),
            Exit::Of(Exception::SystemError) => {
                self.guest().crash(format_args!("an SError of the machine at {:#x}", self.registers.pc));
                exit::After::Nothing
            }
        };
        drop(masked);
        match after {
            exit::After::Nothing => None,
            exit::After::Sleep { deadline } => {
                self.guest().wait(self.index(), deadline);
                None
            }
            exit::After::LetOthersRun => {
                thread::yield_now();
                None
            }
            exit::After::Call => self.call(),
            exit::After::Access(access) => {
                self.access(&access);
                None
            }
        }
    }

    /// Runs the guest until something ends its turn; `None` if it is not to run any more. Interrupts are masked, the vCPU is loaded.
    fn enter(&mut self) -> Option<Exit> {
        let (index, count) = (self.index(), list_registers::count());
        let mut interrupts = [0; list_registers::MOST];
        let interrupts = &mut interrupts[..count];
        // From here on whoever changes something that concerns this vCPU interrupts this CPU.
        self.guest().set_in_guest(index, Some(per_cpu::smp_processor_id()));
        if self.guest().is_ending() {
            self.guest().set_in_guest(index, None);
            return None;
        }
        let (timer_level, vmcr) = (timer::level(), list_registers::vmcr());
        let hcr = {
            let mut vgic = self.guest().vgic();
            // It concerns nobody but this vCPU.
            let _ = vgic.set_ppi(index, timer::INTERRUPT, timer_level);
            vgic.fill(index, vmcr, interrupts)
        };
        let used = interrupts.iter().take_while(|&&interrupt| interrupt != 0).count();
        let interrupts = &mut interrupts[..used];
        list_registers::load(interrupts, hcr);
        virt::activate_traps(thread::others_are_ready());
        let exit = loop {
            // SAFETY: interrupts are masked and the context is loaded, with the guest's own stage 2.
            let exception = unsafe { enter::enter(&mut self.registers) };
            if exception != Exception::Synchronous {
                break Exit::Of(exception);
            }
            // Whoever wants something else of this vCPU does not wait for the end of this: an interrupt brings it out.
            match self.handle_at_once(&Syndrome::read()) {
                AtOnce::GoesOn => {}
                AtOnce::ComesOut => break Exit::Done,
                AtOnce::Not => break Exit::Of(exception),
            }
        };
        virt::deactivate_traps();
        self.guest().set_in_guest(index, None);
        let hcr = list_registers::save(interrupts);
        if !interrupts.is_empty() {
            let concerned = self.guest().vgic().sync(index, interrupts, hcr);
            self.guest().wake_all(&concerned);
        }
        Some(exit)
    }

    /// Has this CPU have the vCPU's context. Interrupts are masked.
    fn load(&self) {
        let this = (&raw const *self.loadable).cast_mut();
        let previous = LOADED.swap(this, Ordering::Relaxed);
        if previous == this {
            return;
        }
        // SAFETY: null, or a vCPU of this CPU, since it stays until it is saved; interrupts are masked.
        if let Some(previous) = unsafe { previous.as_ref() } {
            // SAFETY: as above, and its thread does not run.
            unsafe { (*previous.context.get()).save() };
            previous.keep_here(false);
        }
        // SAFETY: this thread's own, on its CPU, interrupts masked.
        unsafe { (*self.loadable.context.get()).load() };
        self.loadable.keep_here(true);
        if self.guest().comes_after_another(self.index()) {
            forget_translations();
        }
    }

    /// Has no CPU have it. What it was is lost.
    fn unload(&self) {
        let _masked = interrupts::mask();
        let this = (&raw const *self.loadable).cast_mut();
        if LOADED.load(Ordering::Relaxed) == this {
            timer::stop();
            // The tables may go with the guest.
            write_register!("vttbr_el2", 0);
            LOADED.store(ptr::null_mut(), Ordering::Relaxed);
            self.loadable.keep_here(false);
        }
    }

    /// Whether the loaded vCPU has an interrupt to take, now that its timer was looked at. Interrupts are masked.
    fn has_interrupt(&self) -> bool {
        let (timer_level, vmcr) = (timer::level(), list_registers::vmcr());
        let mut vgic = self.guest().vgic();
        let _ = vgic.set_ppi(self.index(), timer::INTERRUPT, timer_level);
        vgic.has_deliverable(self.index(), vmcr)
    }
}
