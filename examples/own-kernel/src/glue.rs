//! What the kernel needs to bring its CPUs up: 40 lines at most, which a test counts.

use dtoolkit::fdt::Fdt;
use reveille::topology::FdtOptions;
use reveille::{Arrival, HwId, MAX_CPUS, Outcome, Topology};
use reveille_aarch64::kernel::{Kernel, Wishes};
use reveille_aarch64::psci::PsciNode;
use reveille_aarch64::{AFFINITY_MASK, entry};
use semihosting::println;

const DEVICETREE: *const [u8; 1 << 20] = 0x4000_0000 as *const _;

static KERNEL: Kernel<MAX_CPUS, 0x4000> = Kernel::new();
static TOPOLOGY: spin::Mutex<Topology> = spin::Mutex::new(Topology::new(HwId(0)));

fn secondary(arrival: Arrival<'static>) -> ! {
    // A real kernel sets its interrupt controller and timer up here.
    let _ = arrival.online();
    loop {
        wait_for_interrupt();
    }
}

fn wait_for_interrupt() {
    // SAFETY: WFI has no effect on memory.
    unsafe { core::arch::asm!("wfi", options(nomem, nostack, preserves_flags)) };
}

/// Whether all CPUs are online.
pub fn bring_up_cpus() -> bool {
    // Boards whose trees have long names take reveille::topology::open_fdt, and 1.7 KB more.
    // SAFETY: QEMU puts the devicetree at the start of RAM, which is mapped, and leaves a MiB for it.
    let fdt = Fdt::new(unsafe { &*DEVICETREE }).expect("QEMU's devicetree");
    let psci = PsciNode::from_fdt(&fdt).expect("QEMU's PSCI");
    let options =
        FdtOptions { boot_cpu: entry::hw_id(), hw_id_mask: AFFINITY_MASK, methods: &["psci"], nr_cpus: MAX_CPUS };
    let mut topology = TOPOLOGY.lock();
    let left_out = &mut |left_out: reveille::topology::LeftOut<'_>| println!("{}: {}", left_out.node, left_out.reason);
    let _ = topology.read_fdt(&fdt, &options, left_out);
    let mut outcomes = [Outcome::NotAsked; MAX_CPUS];
    let summary = KERNEL.bring_up(&topology, &psci, secondary, &Wishes::default(), &mut outcomes);
    for (cpu, outcome) in topology.cpus().iter().zip(&outcomes) {
        println!("CPU {} ({}): {outcome}", cpu.index, cpu.hw_id);
    }
    summary.is_ok_and(|summary| summary.online == summary.asked)
}
