//! What was called and answered, kept in a ring and printed at the end.

use arm_sysregs::el0::accessors::{read_cntfrq_el0, read_cntpct_el0};
use psci_server::Answer;
use spin::Mutex;

use crate::console::println;

/// How many calls are kept: the last ones.
const CAPACITY: usize = 4096;

/// One call.
#[derive(Clone, Copy)]
pub struct Call {
    /// The counter when it was made.
    ticks: u64,
    cpu: usize,
    function: u32,
    argument: u64,
    /// X0 of the answer; what does not return has none.
    code: Option<u64>,
}

struct Ring {
    calls: [Call; CAPACITY],
    /// How many there were in all.
    count: usize,
}

const NONE: Call = Call { ticks: 0, cpu: 0, function: 0, argument: 0, code: None };
static RING: Mutex<Ring> = Mutex::new(Ring { calls: [NONE; CAPACITY], count: 0 });

/// The call that `cpu` makes now.
pub fn begin(cpu: usize, function: u32, argument: u64) -> Call {
    Call { ticks: read_cntpct_el0().bits(), cpu, function, argument, code: None }
}

/// Keeps a call with its answer.
pub fn end(call: Call, answer: Answer) {
    let code = if let Answer::Return(value) = answer { Some(value) } else { None };
    let mut ring = RING.lock();
    let place = ring.count % CAPACITY;
    ring.calls[place] = Call { code, ..call };
    ring.count += 1;
}

/// Prints what was kept.
pub fn print() {
    let ring = RING.lock();
    let frequency = read_cntfrq_el0().bits().max(1);
    let first = ring.count.saturating_sub(CAPACITY);
    println!("firmware: {} calls, {first} of them not kept", ring.count);
    for call in (first..ring.count).map(|number| ring.calls[number % CAPACITY]) {
        let microseconds = u128::from(call.ticks) * 1_000_000 / u128::from(frequency);
        let Call { cpu, function, argument, code, .. } = call;
        let name = name(function);
        match code {
            Some(code) => {
                println!("firmware: {microseconds} us CPU {cpu} {name} {function:#x} {argument:#x}: {}", code as i64)
            }
            None => println!("firmware: {microseconds} us CPU {cpu} {name} {function:#x} {argument:#x}"),
        }
    }
}

/// The specification's name of a function.
fn name(function: u32) -> &'static str {
    const WIDE: u32 = 1 << 30;
    match function & !WIDE {
        0x8000_0000 => "SMCCC_VERSION",
        0x8000_0001 => "SMCCC_ARCH_FEATURES",
        0x8400_0000 => "PSCI_VERSION",
        0x8400_0001 => "CPU_SUSPEND",
        0x8400_0002 => "CPU_OFF",
        0x8400_0003 => "CPU_ON",
        0x8400_0004 => "AFFINITY_INFO",
        0x8400_0005 => "MIGRATE",
        0x8400_0006 => "MIGRATE_INFO_TYPE",
        0x8400_0008 => "SYSTEM_OFF",
        0x8400_0009 => "SYSTEM_RESET",
        0x8400_000a => "PSCI_FEATURES",
        _ => "unknown",
    }
}
