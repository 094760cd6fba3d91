//! The calls of the next stage: [`psci_server`] decides, this does it.

use core::ops::Range;

use psci_server::{Answer, Entry, Failed, Platform, Resumed, Server};
use reveille::MAX_CPUS;
use reveille_firmware_faults::{Faults, Handled, PowersUp};
use reveille_psci_log::Call;
use spin::Once;

use crate::call_log;
use crate::exceptions::Frame;
use crate::pens::Pens;
use crate::reset::hold;
use crate::{cpus, gic, non_secure, power, timer};

/// The machine, as the server sees it.
struct Machine {
    ids: &'static [u64],
    /// The memory that CPUs may begin in.
    ram: Range<usize>,
    /// What is to go wrong.
    faults: Faults<MAX_CPUS>,
    /// Where CPUs wait for the next stage, if it does not call for them.
    pens: Option<Pens>,
}

impl Platform for Machine {
    fn cpu_ids(&self) -> &[u64] {
        self.ids
    }

    fn can_enter(&self, address: u64) -> bool {
        usize::try_from(address).is_ok_and(|address| self.ram.contains(&address))
    }

    fn power_on(&self, cpu: usize) -> Result<(), Failed> {
        if self.faults.power_on(cpu, timer::now()) {
            gic::wake(self.ids[cpu]);
        }
        Ok(())
    }

    /// A CPU that came from a pen has none to go back to that could be released again.
    fn power_off(&self, _cpu: usize) -> Result<(), Failed> {
        if self.pens.is_some() { Err(Failed) } else { Ok(()) }
    }
}

static SERVER: Once<Server<Machine, MAX_CPUS>> = Once::new();

fn server() -> &'static Server<Machine, MAX_CPUS> {
    SERVER.get().expect("the server is there before the next stage")
}

/// From here on there is a server: for these CPUs, of which this one runs, and for entry points in `ram`.
pub fn init(ids: &'static [u64], ram: Range<usize>, faults: Faults<MAX_CPUS>, pens: Option<Pens>) {
    SERVER.call_once(|| Server::new(Machine { ids, ram, faults, pens }));
    server().boot(cpus::this_cpu());
}

/// Has all other CPUs enter their pens, if there are any, but for those that are to be dead.
pub fn fill_pens() {
    let Machine { ids, faults, pens: Some(_), .. } = server().platform() else { return };
    let others = (0..ids.len()).filter(|&cpu| cpu != cpus::this_cpu() && !faults.is_dead(cpu));
    others.for_each(|cpu| gic::wake(ids[cpu]));
}

/// A CPU that was off, from `reset.S`: begins where it is to begin, or goes back if it is not to.
#[unsafe(no_mangle)]
extern "C" fn cpu_woken(cpu: usize) -> ! {
    cpus::set_this_cpu(cpu);
    call_log::tick(cpu);
    if let Some(pens) = server().platform().pens
        && server().boot(cpu)
    {
        sleep_until(cpu, None);
        enter(cpu, pens.entry(cpu))
    }
    let powers_up = server().platform().faults.powers_up(cpu, timer::now());
    let up = if let PowersUp::At(up) = powers_up { Some(up) } else { None };
    sleep_until(cpu, up);
    match powers_up {
        PowersUp::Now => server().enter(cpu).map_or_else(|| hold(), |entry| enter(cpu, entry)),
        PowersUp::At(_) | PowersUp::Never => hold(),
    }
}

/// An interrupt brought `cpu` here from the next stage, and its timer is quiet now.
pub fn interrupted(cpu: usize) {
    call_log::tick(cpu);
    sleep_until(cpu, None);
}

/// Has the timer of `cpu` fire when its log is due, or at `up`.
fn sleep_until(cpu: usize, up: Option<u64>) {
    if let Some(next) = call_log::due(cpu).into_iter().chain(up).min() {
        timer::program(next);
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
    let Handled { answer, target, faulty } = server().platform().faults.handle(server(), cpu, registers, ticks);
    call_log::called(cpu, ticks, Call { registers, target, faulty }, answer);
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
