//! Everything at once, for a kernel that maps its memory to itself and has PSCI: [`Kernel`].
//!
//! A kernel with more wishes (page tables of its own, per-CPU memory, other methods) implements [`reveille::Platform`] itself,
//! with [`crate::entry`]; this module is written in terms of the same pieces.

use core::cell::UnsafeCell;

use reveille::{
    Arrival, CallError, ContextId, Cpu, EnableMethod, FirmwareState, Instant, Outcome, Plan, Platform, Policy, Smp,
    SmpOptions, Summary, Timeout, Topology,
};

use crate::boot_table::{AlreadySet, EntryTimes, Environment, Park, Start};
use crate::counter;
use crate::entry::BootTable;
use crate::psci::{Conduit, Psci, PsciNode};

/// The stack of one CPU.
#[repr(C, align(16))]
struct Stack<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: only the CPU that it belongs to uses it, as its stack.
unsafe impl<const BYTES: usize> Sync for Stack<BYTES> {}

/// Where a CPU goes on.
type Entry = fn(Arrival<'static>) -> !;

/// A kernel of up to `CPUS` CPUs, each with a stack of `STACK` bytes: the state of its CPUs and their stacks.
///
/// Make it a `static`: it is all zeros until [`Self::bring_up`], so that it lies in `.bss` and takes no room in the image. The
/// stacks have no guard pages. Where `CPUS` is small, set `REVEILLE_MAX_CPUS` too ([`reveille::MAX_CPUS`]).
pub struct Kernel<const CPUS: usize, const STACK: usize> {
    /// The state of the CPUs.
    pub smp: Smp,
    entry: UnsafeCell<Option<Entry>>,
    stacks: [Stack<STACK>; CPUS],
}

// SAFETY: `entry` is written once, before any CPU is kicked, and only read by CPUs that were; `Smp` and `Stack` are Sync.
unsafe impl<const CPUS: usize, const STACK: usize> Sync for Kernel<CPUS, STACK> {}

/// What to bring up, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// `maxcpus` and `nosmp`.
    pub options: SmpOptions,
    /// How many CPUs may be on their way at once.
    pub policy: Policy,
    /// How long to wait for them.
    pub timeout: Timeout,
}

impl<const CPUS: usize, const STACK: usize> Kernel<CPUS, STACK> {
    /// A kernel whose CPUs are down. Its stacks have at least 1 KiB each, or it does not compile.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(STACK >= 1024, "a stack holds what the entry code hands over, and the first calls") };
        let stacks = [const { Stack(UnsafeCell::new([0; STACK])) }; CPUS];
        Self { smp: Smp::new(), entry: UnsafeCell::new(None), stacks }
    }

    /// Brings up the CPUs of `topology` by the PSCI that `psci` describes. On the boot CPU, with MMU and caches on; call it
    /// once. `outcomes` has an entry for each CPU of the topology, by index.
    ///
    /// The new CPUs go on at `entry`: with MMU and caches on as on the boot CPU, with its exception vectors, interrupts masked,
    /// TPIDR_EL1 = 0. There they set up what they need for interrupts and call [`Arrival::online`].
    ///
    /// # Errors
    /// [`AlreadyBroughtUp`].
    // Once a boot: it need not lie in its caller, nor its masks on the caller's stack.
    #[inline(never)]
    pub fn bring_up(
        &'static self,
        topology: &Topology,
        psci: &PsciNode,
        entry: Entry,
        wishes: &Wishes,
        outcomes: &mut [Outcome],
    ) -> Result<Summary, AlreadyBroughtUp> {
        let park = match psci.conduit {
            Conduit::Smc => Park::CpuOffSmc,
            Conduit::Hvc => Park::CpuOffHvc,
        };
        let table = BootTable::seal(&Environment::of_this_cpu(), park, |address| address as u64);
        let control = Control { kernel: self, table: table.ok_or(AlreadyBroughtUp)? };
        // SAFETY: an image's table is sealed once, so no other call gets here, and no CPU was kicked to read it yet.
        unsafe { *self.entry.get() = Some(entry) };
        let method = StartOnly(Psci::new(psci, control.table.entry_point()));
        let methods: [&dyn EnableMethod; 1] = [&method];
        let Wishes { options, policy, timeout } = *wishes;
        let plan = Plan { topology, methods: &methods, options, policy, timeout };
        self.smp.masks.boot_cpu_init();
        self.smp.init_cpus(&plan, outcomes);
        self.smp.prepare_cpus(&plan, outcomes);
        let summary = self.smp.bring_up(&plan, &control, outcomes);
        if let Some(boot) = outcomes.first_mut() {
            *boot = Outcome::Online;
        }
        Ok(summary)
    }
}

impl<const CPUS: usize, const STACK: usize> Default for Kernel<CPUS, STACK> {
    fn default() -> Self {
        Self::new()
    }
}

/// PSCI without the way down, which nobody takes here and which need not be linked.
struct StartOnly(Psci);

impl EnableMethod for StartOnly {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.0.cpu_prepare(cpu)
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        self.0.cpu_boot(cpu, context)
    }

    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        self.0.affinity_info(cpu)
    }
}

/// The image's CPUs were brought up before: there is one boot table, and it is written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CPUs were brought up before")]
pub struct AlreadyBroughtUp;

/// The control CPU's side.
struct Control<const CPUS: usize, const STACK: usize> {
    kernel: &'static Kernel<CPUS, STACK>,
    table: BootTable,
}

const NO_STACK: CallError = CallError { call: "prepare", code: 0, meaning: "the kernel has no stack for it" };

impl<const CPUS: usize, const STACK: usize> Platform for Control<CPUS, STACK> {
    fn now(&self) -> Instant {
        counter::instant(counter::ticks())
    }

    fn relax(&self) {
        counter::relax();
    }

    fn prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        let stack = self.kernel.stacks.get(cpu.index.get()).ok_or(NO_STACK)?;
        let start = Start {
            hw_id: cpu.hw_id,
            claim: self.kernel.smp.claim_word(cpu.index),
            entry: enter::<CPUS, STACK>,
            stack_top: (stack.0.get().addr() + STACK) as u64 & !0xf,
            thread_pointer: 0,
            argument: core::ptr::from_ref(self.kernel).expose_provenance() as u64,
        };
        // SAFETY: the stack is in a static and this CPU's by its index; the argument is a static too.
        let set = unsafe { self.table.set(cpu.index, &start) };
        set.map_err(|AlreadySet(_)| CallError { call: "prepare", code: 0, meaning: "it was started before" })
    }
}

extern "C" fn enter<const CPUS: usize, const STACK: usize>(context: u64, argument: u64, _times: &EntryTimes) -> ! {
    // SAFETY: `prepare` made the argument from a `&'static Kernel<CPUS, STACK>`.
    let kernel = unsafe { &*core::ptr::with_exposed_provenance::<Kernel<CPUS, STACK>>(argument as usize) };
    let context = ContextId::from_raw(context as u32).expect("the entry code has checked the context");
    // SAFETY: it was written before this CPU was kicked, and the claim made that visible; nobody writes it any more.
    let entry = unsafe { *kernel.entry.get() }.expect("bring_up has set it");
    entry(kernel.smp.claimed(context))
}
