//! The log of the next stage's calls and of its CPUs' entries, which it does not notice: they are kept in a ring when they happen, and
//! written as records to the secure UART when nothing has happened for a while, or what is kept is old or much.
//!
//! The CPU that is the first to have something kept writes it: its secure timer brings it back to EL3, whatever the next stage does,
//! which may hang meanwhile. It writes a few at a time.

use core::time::Duration;

use psci_server::{Answer, Entry, answer_name, function_name};
use reveille_trace_format::{Record, SCHEMA, write_record};
use spin::Mutex;

use crate::{console, cpus, non_secure, timer};

/// How much is kept.
const CAPACITY: usize = 4096;
/// How long nothing has to have happened before it is written.
const QUIET: Duration = Duration::from_millis(20);
/// How long it is kept at most, if things go on happening.
const OLDEST: Duration = Duration::from_millis(200);
/// How many are written at a time, and how long the next stage runs then.
const BATCH: usize = 16;
const PAUSE: Duration = Duration::from_millis(1);

/// What happened on a CPU.
#[derive(Clone, Copy)]
struct Happened {
    /// The counter then.
    ticks: u64,
    cpu: usize,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Called { call: Call, code: Option<u64> },
    Entered(Entry),
}

/// A call.
#[derive(Clone, Copy)]
pub struct Call {
    /// X0 to X3.
    pub registers: [u64; 4],
    /// The counter when it was made.
    pub ticks: u64,
    /// The CPU that it is about.
    pub target: Option<usize>,
    /// Whether it was made to go wrong.
    pub faulty: bool,
}

struct Ring {
    kept: [Happened; CAPACITY],
    /// How many were kept and have been taken out, in all.
    end: usize,
    begin: usize,
    /// How many were lost since one was taken out.
    lost: usize,
    /// When what is kept is to be written, and by which CPU.
    due: Option<(u64, usize)>,
}

const NOTHING: Happened = Happened { ticks: 0, cpu: 0, what: What::Entered(Entry { address: 0, context_id: 0 }) };
static RING: Mutex<Ring> = Mutex::new(Ring { kept: [NOTHING; CAPACITY], end: 0, begin: 0, lost: 0, due: None });
/// Who writes: what is taken out of the ring is written in that order.
static WRITER: Mutex<()> = Mutex::new(());

impl Ring {
    /// Keeps the latest.
    fn push(&mut self, happened: Happened) {
        if self.end - self.begin == CAPACITY {
            self.begin += 1;
            self.lost += 1;
        }
        self.kept[self.end % CAPACITY] = happened;
        self.end += 1;
    }

    fn pop(&mut self) -> Option<(Happened, usize)> {
        (self.begin < self.end).then(|| {
            self.begin += 1;
            (self.kept[(self.begin - 1) % CAPACITY], core::mem::take(&mut self.lost))
        })
    }

    /// When more is to be written, if it is not to be now; `None` where nothing is kept.
    fn next(&self, now: u64) -> Option<u64> {
        let count = self.end - self.begin;
        let oldest = self.kept[self.begin % CAPACITY].ticks.saturating_add(timer::ticks_of(OLDEST));
        let quiet = self.kept[self.end.wrapping_sub(1) % CAPACITY].ticks.saturating_add(timer::ticks_of(QUIET));
        let much = count >= CAPACITY / 2;
        (count > 0).then(|| if much { now } else { quiet.min(oldest) })
    }
}

/// Tells who runs on which CPUs.
pub fn begin(ids: &[u64]) {
    let _writer = WRITER.lock();
    write(&Record::Boot {
        schema: SCHEMA,
        image: "firmware",
        version: env!("CARGO_PKG_VERSION"),
        entry_level: Some(3),
        boot_hw_id: cpus::affinity(),
        counter_ns: Some(0),
    });
    for (cpu, &hw_id) in (0..).zip(ids) {
        write(&Record::FirmwareCpu { cpu, hw_id });
    }
}

/// Keeps a call of `cpu` with its answer.
pub fn called(cpu: usize, call: Call, answer: Answer) {
    let code = if let Answer::Return(value) = answer { Some(value) } else { None };
    keep(Happened { ticks: call.ticks, cpu, what: What::Called { call, code } });
}

/// Keeps that `cpu` enters the next stage now.
pub fn entered(cpu: usize, entry: Entry) {
    keep(Happened { ticks: timer::now(), cpu, what: What::Entered(entry) });
}

fn keep(happened: Happened) {
    let mut ring = RING.lock();
    ring.push(happened);
    let much = ring.end - ring.begin == CAPACITY / 2;
    if ring.due.is_none() || much {
        let wait = if much { Duration::ZERO } else { QUIET };
        let due = timer::now().saturating_add(timer::ticks_of(wait));
        ring.due = Some((due, happened.cpu));
        timer::program(due);
    }
}

/// When `cpu` is to write, if it is to.
pub fn due(cpu: usize) -> Option<u64> {
    RING.lock().due.filter(|(_, writer)| *writer == cpu).map(|(due, _)| due)
}

/// On a CPU whose timer has fired: writes, if it is time to.
pub fn tick(cpu: usize) {
    let now = timer::now();
    if due(cpu).is_none_or(|due| now < due) {
        return;
    }
    let ready = RING.lock().next(now).is_some_and(|next| next <= now);
    if ready {
        let _writer = WRITER.lock();
        for _ in 0..BATCH {
            let Some((happened, lost)) = RING.lock().pop() else { break };
            write_happened(&happened, lost);
        }
    }
    let mut ring = RING.lock();
    let now = timer::now();
    let soonest = now.saturating_add(timer::ticks_of(PAUSE));
    ring.due = ring.next(now).map(|next| (next.max(soonest), cpu));
}

/// Writes all that is kept: the machine ends.
pub fn flush() {
    let _writer = WRITER.lock();
    loop {
        let Some((happened, lost)) = RING.lock().pop() else { break };
        write_happened(&happened, lost);
    }
}

/// The same with the last words of a CPU, which may have been in the middle of all this.
pub fn flush_if_possible() {
    while let Some((happened, lost)) = RING.try_lock().and_then(|mut ring| ring.pop()) {
        write_happened(&happened, lost);
    }
}

fn write_happened(happened: &Happened, lost: usize) {
    if lost > 0 {
        write(&Record::Lost { count: lost as u32 });
    }
    let (cpu, ns) = (happened.cpu as u32, timer::nanoseconds(happened.ticks));
    match happened.what {
        What::Called { call, code } => {
            let [x0, arguments @ ..] = call.registers;
            let id = x0 as u32;
            write(&Record::Call {
                cpu,
                ns,
                id,
                function: function_name(id).unwrap_or("unknown"),
                arguments,
                target: call.target.map(|target| target as u32),
                code: code.map(|code| code as i64),
                code_name: code.and_then(|code| answer_name(id, code)),
                faulty: call.faulty,
            });
        }
        What::Entered(entry) => write(&Record::Entered {
            cpu,
            ns,
            hw_id: cpus::ids()[happened.cpu],
            address: entry.address,
            level: non_secure::highest_level(),
        }),
    }
}

fn write(record: &Record<&str>) {
    // A UART takes everything, and all of these are short.
    let _ = write_record(&mut console::secure(), record);
}
