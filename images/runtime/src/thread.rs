//! Threads: small, preemptive, each on a CPU of its own choosing for life.
//!
//! Every CPU has a run queue and an idle thread, which is whatever brought the CPU up ([`adopt_idle`], [`idle`]). A thread runs
//! until it blocks, yields, or its slice ends while another is ready. A CPU in its idle thread has no timer tick unless a
//! sleeper needs one.

mod completion;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

pub use completion::{Completion, TimedOut};
use reveille::CpuIndex;

use crate::arch::context::{Context, switch};
use crate::arch::{interrupts, timer};
use crate::clock;
use crate::interrupt_controller::send_ipi;
use crate::ipi::Ipi;
use crate::lock::IrqLock;
use crate::memory::Stack;
use crate::per_cpu::smp_processor_id;

/// How long a thread runs while others are ready.
const SLICE: Duration = Duration::from_millis(10);

/// A thread.
pub struct Thread {
    name: &'static str,
    cpu: CpuIndex,
    /// Touched by this thread's CPU only, with interrupts masked.
    context: UnsafeCell<Context>,
    /// `None` for the boot CPU's idle thread, whose stack is the image's.
    stack: Option<Stack>,
    entry: IrqLock<Option<Box<dyn FnOnce() + Send>>>,
    /// A wake-up that came while it was not blocked.
    woken: AtomicBool,
    exited: Completion,
}

// SAFETY: `context` is its CPU's alone; the rest is shared safely.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

impl Thread {
    fn new(name: &'static str, cpu: CpuIndex, stack: Option<Stack>) -> Self {
        Self {
            name,
            cpu,
            context: UnsafeCell::new(Context::RUNNING),
            stack,
            entry: IrqLock::new(None),
            woken: AtomicBool::new(false),
            exited: Completion::new(),
        }
    }

    /// The idle thread of `cpu`, with a stack of its own, before the CPU is brought up (Linux's `fork_idle`).
    ///
    /// # Errors
    /// There is no room for its stack.
    pub fn fork_idle(cpu: CpuIndex) -> Result<Arc<Self>, &'static str> {
        Ok(Arc::new(Self::new("swapper", cpu, Some(Stack::allocate()?))))
    }

    /// The address just above its stack; 0 for the boot CPU's idle thread.
    #[must_use]
    pub fn stack_top(&self) -> usize {
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

/// A blocked thread, and the counter's value at which it is woken at the latest.
struct Blocked {
    thread: Arc<Thread>,
    wake_at: u64,
}

/// The threads of one CPU.
struct RunQueue {
    ready: VecDeque<Arc<Thread>>,
    blocked: Vec<Blocked>,
    current: Option<Arc<Thread>>,
    idle: Option<Arc<Thread>>,
    /// One that has ended and whose stack was in use until the switch away from it was done.
    ended: Option<Arc<Thread>>,
}

crate::per_cpu! {
    static RUN_QUEUE: IrqLock<RunQueue> = IrqLock::new(RunQueue {
        ready: VecDeque::new(),
        blocked: Vec::new(),
        current: None,
        idle: None,
        ended: None,
    });
    static CURRENT: AtomicPtr<Thread> = AtomicPtr::new(ptr::null_mut());
    static TICKS: AtomicU32 = AtomicU32::new(0);
}

impl RunQueue {
    fn current_is_idle(&self) -> bool {
        match (&self.current, &self.idle) {
            (Some(current), Some(idle)) => Arc::ptr_eq(current, idle),
            _ => false,
        }
    }

    /// Programs this CPU's timer for the first sleeper and, unless it idles, the end of the slice.
    fn program_timer(&self) {
        let slice_end = (!self.current_is_idle()).then(|| clock::ticks_after(SLICE));
        let wake_up = self.blocked.iter().map(|blocked| blocked.wake_at).min();
        match slice_end.into_iter().chain(wake_up).min() {
            Some(deadline) => timer::program(deadline),
            None => timer::stop(),
        }
    }

    fn wake(&mut self, position: usize) {
        let blocked = self.blocked.swap_remove(position);
        self.ready.push_back(blocked.thread);
    }
}

/// Why the running thread leaves its CPU.
enum Leave {
    Yield,
    Block { wake_at: u64 },
    Exit,
}

/// Makes what runs on this CPU its idle thread. The CPU's per-CPU area is in use.
pub fn adopt_idle(idle: Arc<Thread>) {
    let mut queue = RUN_QUEUE.lock();
    CURRENT.store(Arc::as_ptr(&idle).cast_mut(), Ordering::Relaxed);
    queue.current = Some(Arc::clone(&idle));
    queue.idle = Some(idle);
}

/// Makes what runs on the boot CPU its idle thread (Linux's `init_idle` for the boot CPU).
pub fn adopt_boot_idle() {
    adopt_idle(Arc::new(Thread::new("swapper", CpuIndex::BOOT, None)));
}

/// Starts a thread on `cpu`. It runs at once if the CPU is online and idle, and as soon as it comes online otherwise.
///
/// # Errors
/// There is no room for its stack.
pub fn spawn(
    name: &'static str,
    cpu: CpuIndex,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Arc<Thread>, &'static str> {
    let thread = Arc::new(Thread::new(name, cpu, Some(Stack::allocate()?)));
    *thread.entry.lock() = Some(Box::new(entry));
    // SAFETY: the stack is new and the thread's own; nobody switches to it before it is in a run queue.
    unsafe { *thread.context.get() = Context::new(thread.stack_top(), thread_main, 0) };
    RUN_QUEUE.of(cpu).lock().ready.push_back(Arc::clone(&thread));
    reschedule(cpu);
    Ok(thread)
}

extern "C" fn thread_main(_: usize) -> ! {
    finish_switch();
    interrupts::enable();
    let thread = current();
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
fn current() -> Arc<Thread> {
    RUN_QUEUE.lock().current.clone().expect("threads run after adopt_idle")
}

/// The name of the thread that executes this, for a panic: takes no lock.
#[must_use]
pub fn current_name() -> &'static str {
    let thread = CURRENT.load(Ordering::Relaxed);
    // SAFETY: null, or the thread that executes this, which lives.
    unsafe { thread.as_ref() }.map_or("none", |thread| thread.name)
}

/// Has `cpu` look for a thread to run.
fn reschedule(cpu: CpuIndex) {
    if cpu != smp_processor_id() && crate::cpus::SMP.masks.online.contains(cpu) {
        send_ipi(cpu, Ipi::Reschedule);
    }
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
fn block(deadline: u64) {
    let _masked = interrupts::mask();
    schedule(Leave::Block { wake_at: deadline });
}

/// Wakes `thread`, or its next attempt to block.
fn unblock(thread: &Arc<Thread>) {
    let mut queue = RUN_QUEUE.of(thread.cpu).lock();
    match queue.blocked.iter().position(|blocked| Arc::ptr_eq(&blocked.thread, thread)) {
        Some(position) => queue.wake(position),
        None => thread.woken.store(true, Ordering::Relaxed),
    }
    drop(queue);
    reschedule(thread.cpu);
}

/// On the way out of an interrupt: switches threads where the slice has ended or the CPU was idle. Interrupts are masked.
pub(crate) fn preempt() {
    let queue = RUN_QUEUE.lock();
    let due = !queue.ready.is_empty() && (queue.current_is_idle() || SLICE_ENDED.swap(false, Ordering::Relaxed));
    drop(queue);
    if due {
        schedule(Leave::Yield);
    }
}

crate::per_cpu! {
    static SLICE_ENDED: AtomicBool = AtomicBool::new(false);
}

/// This CPU's timer has fired: wakes sleepers, ends the slice.
pub(crate) fn timer_interrupt() {
    TICKS.fetch_add(1, Ordering::Relaxed);
    let now = timer::ticks();
    let mut queue = RUN_QUEUE.lock();
    while let Some(position) = queue.blocked.iter().position(|blocked| blocked.wake_at <= now) {
        queue.wake(position);
    }
    SLICE_ENDED.store(true, Ordering::Relaxed);
    queue.program_timer();
}

/// How many timer interrupts `cpu` has had.
#[must_use]
pub fn ticks_of(cpu: CpuIndex) -> u32 {
    TICKS.of(cpu).load(Ordering::Relaxed)
}

/// Goes over to the next thread. Interrupts are masked. Returns when this one runs again.
fn schedule(leave: Leave) {
    let mut queue = RUN_QUEUE.lock();
    let Some(previous) = queue.current.take() else { return };
    let idle = queue.idle.clone().expect("a CPU with a current thread has an idle one");
    match leave {
        Leave::Block { .. } if previous.woken.swap(false, Ordering::Relaxed) => {
            queue.current = Some(previous);
            return;
        }
        Leave::Yield if Arc::ptr_eq(&previous, &idle) => {}
        Leave::Yield => queue.ready.push_back(Arc::clone(&previous)),
        Leave::Block { wake_at } => queue.blocked.push(Blocked { thread: Arc::clone(&previous), wake_at }),
        Leave::Exit => queue.ended = Some(Arc::clone(&previous)),
    }
    let next = queue.ready.pop_front().unwrap_or(idle);
    queue.current = Some(Arc::clone(&next));
    queue.program_timer();
    CURRENT.store(Arc::as_ptr(&next).cast_mut(), Ordering::Relaxed);
    let from = previous.context.get();
    let to = next.context.get();
    // The run queue holds both; a reference on the stack of a thread that ends would never be dropped.
    drop((previous, next, queue));
    if from == to {
        return;
    }
    // SAFETY: interrupts are masked. `from` is the running thread, kept alive by the queue until `finish_switch`; `to` was saved
    // by `switch` or made by `spawn`, and is current nowhere else, since threads stay on their CPU.
    unsafe { switch(from, *to) };
    finish_switch();
}

/// Done by every thread that was switched to: frees one that has ended.
fn finish_switch() {
    let ended = RUN_QUEUE.lock().ended.take();
    drop(ended);
}

/// The idle thread's work, for ever: sleeps until there is other work (Linux's `cpu_startup_entry`).
pub fn idle() -> ! {
    loop {
        let masked = interrupts::mask();
        if RUN_QUEUE.lock().ready.is_empty() {
            interrupts::wait();
        }
        interrupts::enable();
        drop(masked);
        yield_now();
    }
}
