//! What the bench measures the kernel against. `yardstick=` on the command line says which:
//!
//! - `bare`: CPU_ON and a counter, in assembly ([`floor`]);
//! - `online`: the same with MMU, redistributor, CPU interface and timer on;
//! - `library`: the library with an empty step table and no trace ([`library`]);
//! - `first`: one CPU, from CPU_ON to its first instruction;
//! - `version`: PSCI_VERSION, a thousand times.
//!
//! The report has the CPUs and the time from the first kick to the last CPU, like the kernel's.

#![no_std]
#![no_main]

extern crate alloc;

mod floor;
mod library;

use alloc::vec::Vec;

use dtoolkit::fdt::Fdt;
use reveille::topology::FdtOptions;
use reveille::{HwId, Topology};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::psci::PsciNode;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{power, processor, timer};
use reveille_runtime::{clock, console, cpus, devicetree, memory, println};
use reveille_trace_format::{Outcome, Record, SCHEMA};
use spin::{Mutex, MutexGuard};

static TOPOLOGY: Mutex<Topology> = Mutex::new(Topology::new(HwId(0)));

/// What a bring-up took: the counter at the first kick and when the last CPU was there.
struct Phase {
    first_kick: u64,
    last_arrival: u64,
}

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    match run(&arguments) {
        Ok(()) => power::exit(0),
        Err(reason) => panic!("{reason}"),
    }
}

fn run(arguments: &BootArguments) -> Result<(), &'static str> {
    let known = reveille_boards::ARM64.iter().flat_map(|board| board.devicetree_addresses).copied();
    let fdt = devicetree::find(arguments.devicetree, known)?;
    power::use_semihosting();
    let (ram, reserved) = devicetree::memory(&fdt)?;
    memory::init(&ram, reserved)?;
    console::init(console::find(&fdt)?);
    console::tell_host(&Record::Boot {
        schema: SCHEMA,
        image: "yardstick",
        version: env!("CARGO_PKG_VERSION"),
        entry_level: Some(arguments.entry_level),
        boot_hw_id: processor::hw_id().0,
        counter_ns: clock::origin(),
    });
    timer::init(&fdt)?;
    let psci = PsciNode::from_fdt(&fdt).map_err(|_| "there is no PSCI")?;
    let topology = read_topology(&fdt)?;
    let command_line = devicetree::command_line(&fdt);
    let phase = match command_line.split_ascii_whitespace().find_map(|word| word.strip_prefix("yardstick=")) {
        Some("bare") => floor::bare(&psci, topology),
        Some("online") => floor::online(&fdt, &psci, topology)?,
        Some("library") => library::bring_up(&psci, topology)?,
        Some("first") => floor::first(&psci, topology),
        Some("version") => floor::version(&psci),
        _ => return Err("yardstick= must be bare, online, library, first or version"),
    };
    report(topology, &phase);
    Ok(())
}

fn read_topology(fdt: &Fdt<'_>) -> Result<&'static Topology, &'static str> {
    let mut topology = TOPOLOGY.lock();
    let options =
        FdtOptions { boot_cpu: processor::hw_id(), hw_id_mask: AFFINITY_MASK, methods: &["psci"], nr_cpus: usize::MAX };
    let findings = topology.read_fdt(fdt, &options, &mut |left_out| println!("{}: {}", left_out.node, left_out.reason));
    if findings.map_err(|_| "the devicetree has no CPUs")?.left_out > 0 {
        return Err("a CPU was left out");
    }
    let topology: &'static Topology = MutexGuard::leak(topology);
    cpus::set_topology(topology);
    Ok(topology)
}

/// The ids of the CPUs to start.
fn secondaries(topology: &Topology) -> Vec<u64> {
    topology.cpus()[1..].iter().map(|cpu| cpu.hw_id.0).collect()
}

fn report(topology: &Topology, phase: &Phase) {
    for cpu in topology.cpus() {
        console::tell_host(&Record::Cpu {
            index: cpu.index.get() as u32,
            hw_id: cpu.hw_id.0,
            possible: true,
            present: true,
            online: true,
            active: false,
            outcome: Outcome::Online,
            reason: None,
            lost_events: 0,
        });
    }
    let count = topology.cpus().len() as u32;
    let nanoseconds = clock::instant_of(phase.last_arrival).nanos_since(clock::instant_of(phase.first_kick));
    console::tell_host(&Record::Done {
        asked: count,
        online: count,
        prepare_ns: 0,
        bringup_ns: nanoseconds,
        passed: true,
    });
}
