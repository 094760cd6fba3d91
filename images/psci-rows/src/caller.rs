//! Who calls: the boot CPU, and the others by their mailboxes.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use alloc::vec::Vec;

use reveille_aarch64::psci::Conduit;
use reveille_psci_caller::{code, id};
use reveille_runtime::arch::{cpu_start, interrupts};
use reveille_runtime::clock;

/// How long a CPU may take for what it does at once.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// How many CPUs have mailboxes: those whose affinity is their level 0.
pub const MAILBOXES: usize = 16;

/// What a CPU notes when it is entered, and what it is told to call.
#[repr(C, align(128))]
pub struct Mailbox {
    /// How often it was entered.
    pub arrivals: AtomicU64,
    /// X0.
    pub context: AtomicU64,
    /// CurrentEL.
    pub level: AtomicU64,
    /// SCTLR of that level.
    pub sctlr: AtomicU64,
    /// DAIF.
    pub daif: AtomicU64,
    /// The number of the call to make, and of the last one that came back.
    order: AtomicU64,
    done: AtomicU64,
    registers: [AtomicU64; 4],
    conduit: AtomicU64,
    answer: AtomicU64,
}

impl Mailbox {
    const fn empty() -> Self {
        Self {
            arrivals: AtomicU64::new(0),
            context: AtomicU64::new(0),
            level: AtomicU64::new(0),
            sctlr: AtomicU64::new(0),
            daif: AtomicU64::new(0),
            order: AtomicU64::new(0),
            done: AtomicU64::new(0),
            registers: [const { AtomicU64::new(0) }; 4],
            conduit: AtomicU64::new(0),
            answer: AtomicU64::new(0),
        }
    }
}

static BOXES: [Mailbox; MAILBOXES] = [const { Mailbox::empty() }; MAILBOXES];

global_asm!(
    include_str!("calls.S"),
    mailboxes = sym BOXES,
    ARRIVALS = const offset_of!(Mailbox, arrivals),
    CONTEXT = const offset_of!(Mailbox, context),
    LEVEL = const offset_of!(Mailbox, level),
    SCTLR = const offset_of!(Mailbox, sctlr),
    DAIF = const offset_of!(Mailbox, daif),
    ORDER = const offset_of!(Mailbox, order),
    DONE = const offset_of!(Mailbox, done),
    REGISTERS = const offset_of!(Mailbox, registers),
    CONDUIT = const offset_of!(Mailbox, conduit),
    ANSWER = const offset_of!(Mailbox, answer),
);

unsafe extern "C" {
    fn psci_rows_call(registers: *mut [u64; 31], conduit: u64);
    fn psci_rows_entry();
}

/// The machine that is called on.
pub struct Machine {
    /// How the provider is called.
    pub conduit: Conduit,
    /// The exception level at which the boot CPU was entered.
    pub level: u8,
    /// The ids of the other CPUs.
    pub others: Vec<u64>,
}

impl Machine {
    fn hvc(&self) -> u64 {
        u64::from(self.conduit == Conduit::Hvc)
    }

    /// Calls with these registers, X0 to X30, and leaves in them what came back.
    pub fn call_with(&self, registers: &mut [u64; 31]) {
        // SAFETY: keeps what an ordinary function keeps. What a CPU that is entered by it does is in `calls.S`.
        unsafe { psci_rows_call(registers, self.hvc()) };
    }

    /// Calls with X0 to X3, and returns X0. A negative 32-bit code may have zeros above.
    pub fn call(&self, x0: u64, [x1, x2, x3]: [u64; 3]) -> i64 {
        let mut registers = [0; 31];
        registers[..4].copy_from_slice(&[x0, x1, x2, x3]);
        self.call_with(&mut registers);
        signed(registers[0])
    }

    /// AFFINITY_INFO of a CPU.
    pub fn affinity_info(&self, id: u64) -> i64 {
        self.call(id::AFFINITY_INFO, [id, 0, 0])
    }

    /// CPU_ON with the entry of `calls.S`.
    pub fn cpu_on(&self, id: u64, context: u64) -> i64 {
        self.call(id::CPU_ON, [id, entry(), context])
    }

    /// Switches a CPU on and waits until it is there.
    pub fn bring_up(&self, id: u64, context: u64) -> Result<&'static Mailbox, &'static str> {
        let mailbox = mailbox(id);
        let before = mailbox.arrivals.load(Ordering::Acquire);
        if self.cpu_on(id, context) != code::SUCCESS {
            return Err("CPU_ON of a CPU that is off was refused");
        }
        if wait(|| mailbox.arrivals.load(Ordering::Acquire) > before) {
            Ok(mailbox)
        } else {
            Err("a CPU that was switched on did not come")
        }
    }

    /// Has a CPU that runs `calls.S` switch itself off, and waits until the provider says so.
    pub fn take_down(&self, id: u64) -> Result<(), &'static str> {
        self.order(id, [id::CPU_OFF, 0, 0, 0]);
        if wait(|| self.affinity_info(id) == code::OFF) { Ok(()) } else { Err("a CPU that called CPU_OFF is not off") }
    }

    /// Has a CPU make a call.
    pub fn order(&self, id: u64, registers: [u64; 4]) {
        let mailbox = mailbox(id);
        for (place, value) in mailbox.registers.iter().zip(registers) {
            place.store(value, Ordering::Relaxed);
        }
        mailbox.conduit.store(self.hvc(), Ordering::Relaxed);
        mailbox.order.fetch_add(1, Ordering::Release);
    }

    /// What came back from the last call that a CPU was told to make; `None` if it does not come back.
    pub fn answer(&self, id: u64) -> Option<i64> {
        let mailbox = mailbox(id);
        let order = mailbox.order.load(Ordering::Relaxed);
        wait(|| mailbox.done.load(Ordering::Acquire) == order).then(|| signed(mailbox.answer.load(Ordering::Relaxed)))
    }

    /// Whether a call that a CPU was told to make comes back within a second, which a busy host may need.
    pub fn comes_back(&self, id: u64) -> Option<i64> {
        let mailbox = mailbox(id);
        let order = mailbox.order.load(Ordering::Relaxed);
        let back = wait_for(Duration::from_secs(1), || mailbox.done.load(Ordering::Acquire) == order);
        back.then(|| signed(mailbox.answer.load(Ordering::Relaxed)))
    }
}

/// The mailbox of the CPU with this id.
pub fn mailbox(id: u64) -> &'static Mailbox {
    &BOXES[id as usize % MAILBOXES]
}

/// The physical address of the entry of `calls.S`.
pub fn entry() -> u64 {
    cpu_start::to_physical(psci_rows_entry as *const () as usize)
}

fn signed(x0: u64) -> i64 {
    if x0 >> 32 == 0 { i64::from(x0 as u32 as i32) } else { x0 as i64 }
}

/// Waits for `condition`, for [`DEADLINE`] at most.
pub fn wait(condition: impl Fn() -> bool) -> bool {
    wait_for(DEADLINE, condition)
}

fn wait_for(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let end = clock::now().0 + limit.as_nanos() as u64;
    while clock::now().0 < end {
        if condition() {
            return true;
        }
        interrupts::relax();
    }
    condition()
}
