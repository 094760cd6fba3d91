//! The state of all CPUs: [`Smp`], one per system, and the new CPU's side of it, [`Arrival`].

use crate::cpu::{CpuIndex, MAX_CPUS};
use crate::hotplug::slot::HotplugSlot;
use crate::mask::CpuMasks;
use crate::rendezvous::{ClaimWord, ContextId, Lost};
use crate::sync::{AtomicU32, Ordering};

/// How far a CPU that has claimed its kick is, by a number of the caller's choosing (1 or more; the index into a table of
/// names, say). What a report on a CPU that got stuck is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stage(pub u16);

impl Stage {
    /// Nothing was reported since the kick.
    pub const NONE: Self = Self(0);
}

/// What one CPU shares with the others, in a cache line of its own.
#[repr(C, align(64))]
struct Slot {
    claim: ClaimWord,
    stage: AtomicU32,
    hotplug: HotplugSlot,
}

impl Slot {
    crate::sync::const_unless_loom! {
        fn new() -> Self {
            Self { claim: ClaimWord::new(), stage: AtomicU32::new(0), hotplug: HotplugSlot::new() }
        }
    }
}

/// The CPUs of a system, as all of them see it: the four masks, and a [`ClaimWord`] for each CPU.
///
/// Place it in a `static`: 64 bytes for each of [`MAX_CPUS`] CPUs, in normal cacheable memory. Everything in it is touched by
/// CPUs with MMU and caches on only.
pub struct Smp {
    /// Which CPUs are possible, present, online and active.
    pub masks: CpuMasks,
    slots: [Slot; MAX_CPUS],
    /// How many CPUs have ever come online, wrapping: what a waiting CPU polls instead of every slot.
    arrivals: AtomicU32,
    /// How many orders hotplug threads have ended, wrapping.
    settled: AtomicU32,
    /// 1 while a hotplug request is under way.
    request: AtomicU32,
    /// How often hotplug was disabled and not enabled again.
    disabled: AtomicU32,
    /// 1 while all CPUs but one are taken down together, and brought back.
    frozen: AtomicU32,
}

impl Smp {
    crate::sync::const_unless_loom! {
        /// A system in which nothing has come up.
        #[must_use]
        pub fn new() -> Self {
            #[cfg(not(loom))]
            let slots = [const { Slot::new() }; MAX_CPUS];
            #[cfg(loom)]
            let slots = core::array::from_fn(|_| Slot::new());
            Self {
                masks: CpuMasks::new(),
                slots,
                arrivals: AtomicU32::new(0),
                settled: AtomicU32::new(0),
                request: AtomicU32::new(0),
                disabled: AtomicU32::new(0),
                frozen: AtomicU32::new(0),
            }
        }
    }

    /// The word that `cpu` claims. For the boot record of an architecture's entry code.
    #[must_use]
    pub fn claim_word(&self, cpu: CpuIndex) -> &ClaimWord {
        &self.slots[cpu.get()].claim
    }

    /// The last stage that `cpu` reported.
    #[must_use]
    pub fn stage(&self, cpu: CpuIndex) -> Stage {
        Stage(self.slots[cpu.get()].stage.load(Ordering::Relaxed) as u16)
    }

    pub(crate) fn reset_stage(&self, cpu: CpuIndex) {
        self.slots[cpu.get()].stage.store(0, Ordering::Relaxed);
    }

    pub(crate) fn arrivals(&self) -> u32 {
        self.arrivals.load(Ordering::Acquire)
    }

    pub(crate) fn hotplug(&self, cpu: CpuIndex) -> &HotplugSlot {
        &self.slots[cpu.get()].hotplug
    }

    pub(crate) fn settled(&self) -> u32 {
        self.settled.load(Ordering::Acquire)
    }

    pub(crate) fn note_settled(&self) {
        self.settled.fetch_add(1, Ordering::Release);
    }

    /// Whether no other request was under way; the caller's is now, until [`Self::end_request`].
    pub(crate) fn begin_request(&self) -> bool {
        self.request.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn end_request(&self) {
        self.request.store(0, Ordering::Release);
    }

    /// The count of what disables hotplug. Changed during a request only.
    pub(crate) fn disabled(&self) -> &AtomicU32 {
        &self.disabled
    }

    pub(crate) fn frozen(&self) -> &AtomicU32 {
        &self.frozen
    }

    /// New CPU: the handle to announce itself with, after the entry code has claimed the kick `context`.
    pub fn claimed(&self, context: ContextId) -> Arrival<'_> {
        Arrival { smp: self, context }
    }

    /// New CPU: claims the kick `context`, for entry code that leaves this to Rust.
    ///
    /// # Errors
    /// [`Lost`] if nobody waits for it any more. The caller parks and touches nothing more.
    pub fn claim(&self, context: ContextId) -> Result<Arrival<'_>, Lost> {
        self.claim_word(context.cpu()).claim(context.generation())?;
        Ok(self.claimed(context))
    }
}

impl Default for Smp {
    fn default() -> Self {
        Self::new()
    }
}

/// A new CPU on its way up, between its claim and [`Arrival::online`].
#[must_use = "a CPU that has claimed its kick is waited for"]
pub struct Arrival<'a> {
    smp: &'a Smp,
    context: ContextId,
}

impl Arrival<'_> {
    /// The CPU itself.
    #[must_use]
    pub const fn cpu(&self) -> CpuIndex {
        self.context.cpu()
    }

    /// Says how far this CPU is. One relaxed store.
    pub fn stage(&self, stage: Stage) {
        self.smp.slots[self.cpu().get()].stage.store(u32::from(stage.0), Ordering::Relaxed);
    }

    /// Says that this CPU cannot come online, so that it is not waited for any longer. It parks, or switches itself off.
    pub fn fail(self) {
        // One that was given up meanwhile is waited for no longer either.
        let _ = self.smp.claim_word(self.cpu()).fail(self.context.generation());
        self.smp.arrivals.fetch_add(1, Ordering::Release);
    }

    /// Announces that this CPU can take interrupts and work, and enters it into the online mask
    /// (Linux's `set_cpu_online(cpu, true)` and `complete(&cpu_running)`).
    ///
    /// # Errors
    /// [`Lost`] if it was given up meanwhile: it is in no mask and parks; its memory stays its own.
    pub fn online(self) -> Result<(), Lost> {
        self.smp.claim_word(self.cpu()).come_online(self.context.generation())?;
        self.smp.masks.online.insert(self.cpu());
        self.smp.arrivals.fetch_add(1, Ordering::Release);
        Ok(())
    }
}
