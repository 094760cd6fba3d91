//! Work for a CPU: items that its worker executes one after the other, each once (Linux's per-CPU workqueues).
//!
//! The worker is a bound thread, made before its CPU first comes up and parked while the CPU is down. What it has not begun
//! when the CPU goes down is done by the worker of another.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use reveille::{CpuIndex, MAX_CPUS};

use crate::cpus::{Offline, next_active};
use crate::lock::IrqLock;
use crate::thread::{self, Thread, TimedOut};

type Item = Box<dyn FnOnce() + Send>;

struct Queue {
    open: bool,
    items: VecDeque<Item>,
    worker: Option<Arc<Thread>>,
}

crate::per_cpu! {
    static QUEUE: IrqLock<Queue> = IrqLock::new(Queue { open: false, items: VecDeque::new(), worker: None });
}

/// Makes the worker of `cpu`, which may be down, unless it has one.
///
/// # Errors
/// There is no room for its stack.
pub fn prepare(cpu: CpuIndex) -> Result<(), &'static str> {
    if QUEUE.of(cpu).lock().worker.is_none() {
        let worker = thread::spawn_parked("worker", cpu, move || do_work(cpu))?;
        QUEUE.of(cpu).lock().worker = Some(worker);
    }
    Ok(())
}

/// Has `cpu`, which is prepared and online, take work.
pub fn start(cpu: CpuIndex) {
    let mut queue = QUEUE.of(cpu).lock();
    queue.open = true;
    if let Some(worker) = &queue.worker {
        // The first item wakes it.
        thread::let_go(worker);
    }
}

/// Has `cpu`, which is online and no longer active, take no more work: its worker finishes the item that it has begun, and
/// active CPUs do the others. How many those were.
///
/// # Errors
/// [`TimedOut`] if the item that was begun has not ended when the counter reaches `deadline`. Then the CPU goes on as before.
///
/// # Panics
/// No active CPU takes work.
pub fn stop(cpu: CpuIndex, deadline: u64) -> Result<usize, TimedOut> {
    let mut queue = QUEUE.of(cpu).lock();
    queue.open = false;
    let worker = queue.worker.clone();
    drop(queue);
    if let Some(worker) = worker {
        thread::park(&worker, deadline).inspect_err(|_| QUEUE.of(cpu).lock().open = true)?;
    }
    let items = core::mem::take(&mut QUEUE.of(cpu).lock().items);
    let count = items.len();
    if count > 0 {
        hand_over(cpu, items);
    }
    Ok(count)
}

/// Gives `items` to an active CPU other than `cpu`.
fn hand_over(cpu: CpuIndex, mut items: VecDeque<Item>) {
    let mut target = cpu;
    for _ in 0..MAX_CPUS {
        target = next_active(target, cpu).expect("a CPU goes down while another is active");
        let mut queue = QUEUE.of(target).lock();
        if queue.open {
            queue.items.append(&mut items);
            wake(queue.worker.clone());
            return;
        }
    }
    panic!("no active CPU takes work");
}

fn wake(worker: Option<Arc<Thread>>) {
    if let Some(worker) = worker {
        thread::unblock(&worker);
    }
}

/// Has the worker of `cpu` execute `item`, or that of another CPU if this one goes down before. Does not wait for it.
///
/// # Errors
/// [`Offline`]: the CPU takes no work, and nobody will execute it.
pub fn queue_on(cpu: CpuIndex, item: impl FnOnce() + Send + 'static) -> Result<(), Offline> {
    let item: Item = Box::new(item);
    let mut queue = QUEUE.of(cpu).lock();
    if !queue.open {
        return Err(Offline(cpu));
    }
    queue.items.push_back(item);
    wake(queue.worker.clone());
    Ok(())
}

/// The worker of `cpu`.
fn do_work(cpu: CpuIndex) {
    loop {
        thread::park_here();
        let item = QUEUE.of(cpu).lock().items.pop_front();
        match item {
            Some(item) => item(),
            None => thread::block(u64::MAX),
        }
    }
}
