//! The calls of the next stage: [`psci_server`] decides, this does it.

use core::ops::Range;

use psci_server::{Answer, Entry, Failed, Platform, Resumed, Server};
use reveille::MAX_CPUS;
use spin::Once;

use crate::call_log::{self, Call};
use crate::exceptions::Frame;
use crate::reset::hold;
use crate::{cpus, gic, non_secure, power, timer};

/// The machine, as the server sees it.
struct Machine {
    ids: &'static [u64],
    /// The memory that CPUs may begin in.
    ram: Range<usize>,
}

impl Platform for Machine {
    fn cpu_ids(&self) -> &[u64] {
        self.ids
    }

    fn can_enter(&self, address: u64) -> bool {
        usize::try_from(address).is_ok_and(|address| self.ram.contains(&address))
    }

    fn power_on(&self, cpu: usize) -> Result<(), Failed> {
        gic::wake(self.ids[cpu]);
        Ok(())
    }
}

static SERVER: Once<Server<Machine, MAX_CPUS>> = Once::new();

fn server() -> &'static Server<Machine, MAX_CPUS> {
    SERVER.get().expect("the server is there before the next stage")
}

/// From here on there is a server: for these CPUs, of which this one runs, and for entry points in `ram`.
pub fn init(ids: &'static [u64], ram: Range<usize>) {
    SERVER.call_once(|| Server::new(Machine { ids, ram }));
    server().boot(cpus::this_cpu());
}

/// A CPU that was off, from `reset.S`: begins where it is to begin, or goes back if it is not to.
#[unsafe(no_mangle)]
extern "C" fn cpu_woken(cpu: usize) -> ! {
    cpus::set_this_cpu(cpu);
    interrupted(cpu);
    match server().enter(cpu) {
        Some(entry) => enter(cpu, entry),
        None => hold(),
    }
}

/// An interrupt brought `cpu` here, whose timer is quiet now: does what is due, and programs it for what is due next.
pub fn interrupted(cpu: usize) {
    call_log::tick(cpu);
    if let Some(due) = call_log::due(cpu) {
        timer::program(due);
    }
}

/// Enters the next stage on `cpu`, which is this one.
pub fn enter(cpu: usize, entry: Entry) -> ! {
    call_log::entered(cpu, entry);
    non_secure::enter(entry)
}

/// Answers a call.
pub fn handle(frame: &mut Frame) {
    let ticks = timer::now();
    let cpu = cpus::this_cpu();
    let registers = [frame.x[0], frame.x[1], frame.x[2], frame.x[3]];
    let call = Call { registers, ticks, target: server().target(registers) };
    let answer = server().handle(cpu, registers);
    call_log::called(cpu, call, answer, false);
    match answer {
        Answer::Return(value) => frame.x[0] = value,
        Answer::Off => hold(),
        Answer::Suspended(_) => suspend(cpu, frame),
        Answer::SystemOff => {
            call_log::flush();
            power::off()
        }
        Answer::SystemReset => {
            call_log::flush();
            power::reset()
        }
    }
}

/// Sleeps until there is an interrupt, and goes on as the server says.
fn suspend(cpu: usize, frame: &mut Frame) {
    // SAFETY: waits. The next stage has its groups enabled, and takes the interrupt when it runs again.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
    match server().resume(cpu) {
        Some(Resumed::Enter(entry)) => enter(cpu, entry),
        Some(Resumed::Return(value)) => frame.x[0] = value,
        None => {}
    }
}
