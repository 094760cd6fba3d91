//! The console: commands that are typed while the system runs, when the boot is over and has been proven.
//!
//! [`command`] reads a line, [`cpus`] does what it asks of CPUs, [`ipi`] interrupts them, [`show`] shows what there is.

mod command;
mod cpus;
mod ipi;
mod show;

use alloc::string::String;

use command::Command;
use reveille::CpuIndex;
use reveille_runtime::cpus::next_active;
use reveille_runtime::{console, print, println, thread};
use reveille_trace_format::PROMPT;

use crate::arch::Machine;

/// Does what is typed, until that is `exit`. `reasons` is what there is to say about each CPU since the boot, by its index.
pub fn run_until_exit(machine: &Machine, reasons: &[Option<String>]) {
    console::cpus::note_reasons(reasons);
    // A CPU that can be taken down, to show what becomes of its threads and interrupts.
    let home = next_active(CpuIndex::BOOT, CpuIndex::BOOT).unwrap_or(CpuIndex::BOOT);
    if let Err(reason) = machine.console_interrupt().and_then(|interrupt| console::init_input(interrupt, home)) {
        println!("The console is looked at now and then: {reason}");
    }
    match thread::spawn("console", home, converse) {
        // It waits for a person.
        Ok(thread) => _ = thread.join(u64::MAX),
        Err(reason) => println!("There is no console: {reason}"),
    }
}

fn converse() {
    println!("The console listens; help lists its commands");
    loop {
        print!("{PROMPT}");
        let Ok(line) = console::read_line(u64::MAX) else { continue };
        let Some(answer) = run(&line) else { return };
        // Line by line: interrupts are masked meanwhile.
        answer.lines().for_each(|line| println!("{line}"));
    }
}

/// Does what `line` says: the answer, or `None` for `exit`. One thread at a time.
pub fn run(line: &str) -> Option<String> {
    let command = match Command::read(line) {
        Ok(command) => command,
        Err(misuse) => return Some(misuse),
    };
    Some(match command {
        Command::Nothing => String::new(),
        Command::List => console::cpus::list(),
        Command::On(cpu) => cpus::on(cpu),
        Command::Off(cpu) => cpus::off(cpu),
        Command::State(cpu) => console::cpus::state(cpu),
        Command::SetState(cpu, state) => cpus::set_state(cpu, state),
        Command::Freeze => cpus::freeze(),
        Command::Thaw => cpus::thaw(),
        Command::Steps => show::steps(),
        Command::Trace(cpu) => show::trace(cpu),
        Command::Interrupt(cpus) => ipi::interrupt(cpus),
        Command::Help => String::from(command::HELP),
        Command::Exit => return None,
    })
}
