//! Threads: small and preemptive.
//!
//! Every CPU has a run queue ([`run_queue`]) and an idle thread ([`mod@idle`]), which is what brought the CPU up. A thread runs
//! until it blocks, yields, or its slice ends while another is ready. A CPU in its idle thread has no timer tick unless a
//! sleeper needs one.
//!
//! A bound thread ([`spawn_bound`], [`spawn_parked`]) is its CPU's for life, and waits with it while it is down. Another ([`spawn`]) stays
//! where it was started until that CPU goes down; then the CPU moves it ([`migrate_away`]). A free one ([`spawn_free`]) runs wherever
//! there is time for it: [`mod@balance`] gives all of them their share.
//!
//! [`park`]: a bound thread is held at a point where it has nothing in hand.

mod balance;
mod completion;
mod idle;
mod migration;
mod park;
mod run_queue;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub use completion::{Completion, TimedOut};
pub use idle::{adopt_boot_idle, adopt_idle, fork_idle, idle, request_idle_death};
pub use migration::{migrate_away, open_queue};
pub(crate) use park::let_go;
pub use park::{park, park_here, should_park, unpark};
use reveille::CpuIndex;
pub use run_queue::ticks_of;
use run_queue::{CURRENT, Leave, RUN_QUEUE, finish_switch, schedule};
pub(crate) use run_queue::{name_of_current, preempt, reprogram_timer, timer_interrupt};

use crate::arch::context::Context;
use crate::arch::{interrupts, timer};
use crate::cpus::Offline;
use crate::lock::{IrqLock, SharedU64};
use crate::memory::Stack;

/// A thread.
pub struct Thread {
    name: &'static str,
    /// The CPU in whose run queue it is. It is changed with the locks of both run queues held. Who wants the run
    /// queue of a thread locks the one that this names and then looks again ([`unblock`]).
    cpu: AtomicUsize,
    placement: Placement,
    /// Other CPUs leave it where it is ([`Thread::keep_here`]).
    stays: AtomicBool,
    /// What its share is counted by. Changed with the lock of its run queue held, as the next one is.
    time: SharedU64,
    /// For how long it has run, by the counter.
    ran: SharedU64,
    /// Touched by this thread's CPU only, with interrupts masked. It goes with the thread to another CPU through the locks of the
    /// run queues.
    context: UnsafeCell<Context>,
    /// `None` for the boot CPU's idle thread, whose stack is the image's.
    stack: Option<Stack>,
    entry: IrqLock<Option<Box<dyn FnOnce() + Send>>>,
    /// A wake-up that came while it was not blocked. Changed with the lock of its run queue held.
    woken: AtomicBool,
    parking: park::Parking,
    /// Whether its panic ends itself alone.
    expendable: AtomicBool,
    exited: Completion,
}

// SAFETY: `context` is its CPU's alone; the rest is shared safely.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

/// Where a thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// On its CPU alone.
    Bound,
    /// On the same CPU until that goes down.
    Stays,
    /// On any CPU that has time.
    Free,
}

/// Why a thread was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// There is no stack for it.
    NoStack(&'static str),
    /// It would be bound to a CPU that takes no threads.
    Offline(Offline),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStack(reason) => f.write_str(reason),
            Self::Offline(offline) => offline.fmt(f),
        }
    }
}

impl Thread {
    fn new(name: &'static str, cpu: CpuIndex, placement: Placement, stack: Option<Stack>) -> Self {
        Self {
            name,
            cpu: AtomicUsize::new(cpu.get()),
            placement,
            stays: AtomicBool::new(false),
            time: SharedU64::new(0),
            ran: SharedU64::new(0),
            context: UnsafeCell::new(Context::RUNNING),
            stack,
            entry: IrqLock::new(None),
            woken: AtomicBool::new(false),
            parking: park::Parking::new(),
            expendable: AtomicBool::new(false),
            exited: Completion::new(),
        }
    }

    /// A thread that will run `entry`, in no run queue yet.
    fn with_entry(
        name: &'static str,
        cpu: CpuIndex,
        placement: Placement,
        entry: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Self>, &'static str> {
        let thread = Arc::new(Self::new(name, cpu, placement, Some(Stack::allocate()?)));
        *thread.entry.lock() = Some(Box::new(entry));
        // SAFETY: the stack is new and the thread's own; nobody switches to it before it is in a run queue.
        unsafe { *thread.context.get() = Context::new(thread.stack_top(), thread_main, 0) };
        Ok(thread)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The CPU that it is on; unless it is bound, it may be on another by the time that this returns.
    #[must_use]
    pub fn cpu(&self) -> CpuIndex {
        CpuIndex::new(self.cpu.load(Ordering::Relaxed)).unwrap_or(CpuIndex::BOOT)
    }

    /// For how long it has run until it last went from or to its CPU, or its slice ended, in ticks of the counter.
    #[must_use]
    pub fn run_time(&self) -> u64 {
        self.ran.get()
    }

    /// Says whether other CPUs leave it where it is, although it is free: something of it is in registers of its CPU. Set by itself, with
    /// interrupts masked; taken back by its CPU, after that was saved.
    pub fn keep_here(&self, keep: bool) {
        self.stays.store(keep, Ordering::Release);
    }

    /// The address just above its stack; 0 for the boot CPU's idle thread.
    fn stack_top(&self) -> usize {
        self.stack.as_ref().map_or(0, Stack::top)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`TimedOut`] if it has not when the counter reaches `deadline`.
    pub fn join(&self, deadline: u64) -> Result<(), TimedOut> {
        self.exited.wait(deadline)
    }
}

/// Starts a thread on `cpu`, or on another if that takes no threads.
///
/// # Errors
/// There is no room for its stack.
pub fn spawn(
    name: &'static str,
    cpu: CpuIndex,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Arc<Thread>, &'static str> {
    let thread = Thread::with_entry(name, cpu, Placement::Stays, entry)?;
    migration::place(&thread);
    Ok(thread)
}

/// Starts a thread on `cpu`, or on another if that takes no threads. From then on it runs on whatever active CPU has time for it.
///
/// # Errors
/// There is no room for its stack.
pub fn spawn_free(
    name: &'static str,
    cpu: CpuIndex,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Arc<Thread>, &'static str> {
    let thread = Thread::with_entry(name, cpu, Placement::Free, entry)?;
    migration::place(&thread);
    Ok(thread)
}

/// Starts a thread on `cpu`, where it stays. While the CPU is down it waits.
///
/// # Errors
/// [`SpawnError::Offline`] if the CPU takes no threads now.
pub fn spawn_bound(
    name: &'static str,
    cpu: CpuIndex,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Arc<Thread>, SpawnError> {
    let thread = Thread::with_entry(name, cpu, Placement::Bound, entry).map_err(SpawnError::NoStack)?;
    let mut queue = RUN_QUEUE.of(cpu).lock();
    if !queue.open {
        return Err(SpawnError::Offline(Offline(cpu)));
    }
    queue.begin(Arc::clone(&thread));
    queue.kick(cpu);
    Ok(thread)
}

/// Makes a thread that stays on `cpu`, which may be down, and is parked there: it begins after [`unpark`], as soon as the CPU
/// is up (Linux's `kthread_create_on_cpu`).
///
/// # Errors
/// There is no room for its stack.
pub fn spawn_parked(
    name: &'static str,
    cpu: CpuIndex,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Arc<Thread>, &'static str> {
    let thread = Thread::with_entry(name, cpu, Placement::Bound, entry)?;
    thread.parking.begin_parked();
    RUN_QUEUE.of(cpu).lock().block(Arc::clone(&thread), u64::MAX);
    Ok(thread)
}

extern "C" fn thread_main(_: usize) -> ! {
    finish_switch();
    interrupts::enable();
    let thread = current();
    park_here();
    let entry = thread.entry.lock().take();
    if let Some(entry) = entry {
        entry();
    }
    thread.exited.complete();
    drop(thread);
    let _masked = interrupts::mask();
    schedule(Leave::Exit);
    unreachable!("a thread that has ended was switched to");
}

/// The thread that executes this.
#[must_use]
pub fn current() -> Arc<Thread> {
    // Between the choice of this CPU's run queue and its lock the thread must not move.
    let _masked = interrupts::mask();
    RUN_QUEUE.lock().current.clone().expect("threads run after adopt_idle")
}

/// The name of the thread that executes this, for a panic: takes no lock.
#[must_use]
pub fn current_name() -> &'static str {
    let thread = CURRENT.load(Ordering::Relaxed);
    // SAFETY: null, or the thread that executes this, which lives.
    unsafe { thread.as_ref() }.map_or("none", |thread| thread.name)
}

/// From here on a panic of this thread ends the thread, and not the run, if it holds no lock ([`crate::lock::IrqLock`]): it never
/// runs again, and its CPU goes on. Who waits for it does so by a deadline.
pub fn set_expendable() {
    current().expendable.store(true, Ordering::Relaxed);
}

/// Whether it is so for the thread that executes this. Takes no lock.
pub(crate) fn is_expendable() -> bool {
    let _masked = interrupts::mask();
    // SAFETY: null, or the thread that executes this, which lives.
    unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }.is_some_and(|thread| thread.expendable.load(Ordering::Relaxed))
}

/// Whether another thread could use this CPU's time: one that is ready here, or a free one that waits on another CPU.
#[must_use]
pub fn others_are_ready() -> bool {
    let _masked = interrupts::mask();
    balance::anyone_waits() || !RUN_QUEUE.lock().ready.is_empty()
}

/// Whether a thread with this name is bound to `cpu`.
#[must_use]
pub fn is_home_of(name: &str, cpu: CpuIndex) -> bool {
    RUN_QUEUE.of(cpu).lock().has_bound(name)
}

/// Lets other threads of this CPU run.
pub fn yield_now() {
    let _masked = interrupts::mask();
    schedule(Leave::Yield);
}

/// Sleeps until the counter reaches `deadline`.
pub fn sleep_until(deadline: u64) {
    while timer::ticks() < deadline {
        block(deadline);
    }
}

/// Blocks until [`unblock`] or the counter reaches `deadline`; returns at once if it was unblocked before. May return early.
pub(crate) fn block(deadline: u64) {
    let _masked = interrupts::mask();
    schedule(Leave::Block { wake_at: deadline });
}

/// Wakes `thread`, or its next attempt to block.
pub(crate) fn unblock(thread: &Arc<Thread>) {
    loop {
        let cpu = thread.cpu();
        let mut queue = RUN_QUEUE.of(cpu).lock();
        if thread.cpu() != cpu {
            // It was moved before the lock was there.
            continue;
        }
        if queue.wake(thread) {
            queue.kick(cpu);
        } else {
            thread.woken.store(true, Ordering::Relaxed);
        }
        return;
    }
}
