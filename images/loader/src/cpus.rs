//! The other CPUs: which there are, how they are started, and what each finds that comes up (LK's `arch/arm64/arch.c`, `top/main.c`).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use reveille::trace::{Kind, Name};
use reveille::{CallError, Cpu, CpuIndex, EnableMethod, Event, Instant, Outcome, Platform, Summary};
use reveille_aarch64::holding_pen::HoldingPen;
use reveille_aarch64::psci::Psci;
use reveille_aarch64::spin_table::SpinTable;
use reveille_runtime::arch::cpu_start::{self, DevicetreeCpus, to_physical};
use reveille_runtime::arch::{memory_map, power, processor, timer};
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::plan::{self, Methods, Setup, plan};
use reveille_runtime::thread::{self, Thread};
use reveille_runtime::{clock, println, trace};
use spin::Once;

use crate::names::name;
use crate::options::Options;
use crate::start::EnteredAtOnce;
use crate::{secondary, start};

reveille_runtime::per_cpu! {
    /// The thread that each other CPU resumes when it comes up.
    static BOOTSTRAP: Once<Arc<Thread>> = Once::new();
}

/// Which CPUs there are, and what they boot from. Whatever starts them, they enter at the loader's one start.
pub fn mp_init(fdt: &Fdt<'static>, options: &Options) -> Setup {
    let _span = trace::span(name::mp_init);
    let psci = cpu_start::find_psci(fdt);
    cpu_start::seal_boot_table(psci.as_ref());
    start::let_others_enter();
    let pen = HoldingPen::new(to_physical).behind(start::address());
    // SAFETY: what is mapped is the word that was asked for, and nobody knows better than the devicetree where it is.
    let spin_table = unsafe { SpinTable::with_pen(pen, memory_map::word) };
    let mut methods: Methods = vec![Box::leak(Box::new(spin_table))];
    if let Some(node) = psci {
        power::use_psci(node.conduit);
        methods.push(Box::leak(Box::new(Psci::new(&node, start::address()))));
    }
    let named = if start::was_at_el3() {
        methods.push(Box::leak(Box::new(EnteredAtOnce(pen))));
        name_method(fdt)
    } else {
        None
    };
    let cpus = DevicetreeCpus { fdt: named.as_ref().unwrap_or(fdt), reading: None };
    plan::init_cpus(&cpus, processor::hw_id(), &options.bring_up, methods)
}

/// The devicetree, where every CPU has the method of those which entered at once: QEMU's names PSCI, and there is none.
fn name_method(fdt: &Fdt<'static>) -> Option<Fdt<'static>> {
    let mut tree = DeviceTree::from_fdt(fdt);
    for cpu in tree.root.child_mut("cpus")?.children_mut().filter(|node| node.name_without_address() == "cpu") {
        cpu.add_property(DeviceTreeProperty::new("enable-method", EnteredAtOnce::NAME).ok()?);
    }
    Fdt::new(Vec::leak(tree.to_dtb())).ok()
}

/// What the bring-up came to.
pub struct BroughtUp {
    pub summary: Summary,
    /// What became of each CPU, by its index.
    pub outcomes: Vec<Outcome>,
}

/// Starts the other CPUs, and waits for them.
pub fn arch_init(setup: &Setup) -> BroughtUp {
    let _span = trace::span(name::arch_init);
    secondary::arch_mp_init_percpu();
    let mut outcomes = setup.outcomes.clone();
    SMP.prepare_cpus(&plan(), &mut outcomes);
    lk_init_secondary_cpus(&mut outcomes);
    let present = SMP.masks.present.snapshot().count();
    println!("Releasing secondary CPUs: {present} present, {}", plan().policy);
    let summary = SMP.bring_up(&plan(), &Control, &mut outcomes);
    println!("{} of {} CPUs run threads", summary.online, summary.asked);
    BroughtUp { summary, outcomes }
}

/// Makes the thread that each other CPU resumes when it comes up.
fn lk_init_secondary_cpus(outcomes: &mut [Outcome]) {
    let _span = trace::span(name::lk_init_secondary_cpus);
    for cpu in topology().cpus().iter().skip(1).filter(|cpu| SMP.masks.present.contains(cpu.index)) {
        match thread::spawn_parked("secondarybootstrap2", cpu.index, secondary::secondary_cpu_bootstrap2) {
            Ok(thread) => _ = BOOTSTRAP.of(cpu.index).call_once(|| thread),
            Err(meaning) => {
                SMP.masks.present.remove(cpu.index);
                outcomes[cpu.index.get()] = Outcome::Failed(CallError { call: "thread_create", code: 0, meaning });
            }
        }
    }
}

/// Lets this CPU's thread go on that was made for it.
pub fn thread_resume() {
    let _span = trace::span(name::thread_resume);
    if let Some(thread) = BOOTSTRAP.get() {
        thread::unpark(thread);
    }
}

/// The method that starts `cpu`, under the name that it has in traces.
fn kick_name(cpu: CpuIndex) -> Name {
    let method = plan::method(&topology().cpus()[cpu.get()]).map_or("", EnableMethod::name);
    if method == "psci" { name::psci_call } else { name::release_word }
}

/// The control CPU's side of the bring-up.
struct Control;

impl Platform for Control {
    fn now(&self) -> Instant {
        clock::now()
    }

    /// Leaves the CPU to others for a while: what is waited for takes some hundred microseconds.
    fn relax(&self) {
        thread::sleep_until(clock::ticks_after(Duration::from_micros(50)));
    }

    fn prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        trace::prepare(cpu.index);
        let written = cpu_start::write_boot_record(cpu.index, secondary::secondary_boot);
        written.map_err(|meaning| CallError { call: "prepare", code: 0, meaning })
    }

    fn event(&self, cpu: CpuIndex, event: Event) {
        let (now, target) = (timer::ticks(), cpu.get() as u32);
        match event {
            Event::Kick => {
                trace::record_at(now, Kind::Begin, kick_name(cpu), target);
                trace::record_at(now, Kind::Instant, name::kick, target);
            }
            Event::Kicked => trace::record_at(now, Kind::End, kick_name(cpu), 0),
            Event::Prepare | Event::Prepared | Event::Wait | Event::Done(_) => {}
        }
    }
}
