//! Which CPUs there are, and how CFE starts and stops them (Linux's `arch/mips/sibyte/cfe/smp.c`).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use cfe_abi::{Error, Request};
use reveille::topology::{Findings, LeftOut, MethodIndex, ProbeOptions};
use reveille::trace::Kind;
use reveille::{CpuIndex, EnableMethod, HwId, MAX_CPUS, SmpOptions, Topology};
use reveille_mips::cfe::{Cfe, EntryState, Firmware};
use reveille_mips::entry::{RECORDS, entry_point};
use reveille_mips::method::CfeCpus;
use reveille_runtime::arch::{count, interrupts, timer};
use reveille_runtime::lock::IrqLock;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::plan::{CpuSource, Methods, Setup};
use reveille_runtime::thread::Completion;
use reveille_runtime::{clock, ipi, println, trace};

use crate::names::name;
use crate::options::Options;
use crate::smp::smp_init_cpus;

/// How long the boot CPU may take for a call that another CPU has it make.
const PATIENCE: Duration = Duration::from_secs(1);

/// Stops all CPUs but this one, which is how CFE tells which there are: one that is stopped waits in CFE, whatever it did before, and
/// a number that is no CPU is refused.
pub fn plat_smp_setup(cfe: &'static Cfe, boot_cpu: HwId, options: &Options) -> Setup {
    let firmware = OnBootCpu(*cfe.firmware());
    #[cfg(feature = "faults")]
    let firmware = super::fault::FaultyCfe(firmware);
    let method = CfeCpus::new(Cfe::new(firmware), &RECORDS, entry_point() as u32, interrupts::sleep_for_ever);
    let method: &'static dyn EnableMethod = Box::leak(Box::new(method));
    smp_init_cpus(&Answers(cfe), boot_cpu, options, vec![method])
}

/// The CPUs that CFE can stop.
struct Answers(&'static Cfe);

impl CpuSource for Answers {
    const NAME: &'static str = "CFE";

    fn parse_and_init_cpus(
        &self,
        topology: &mut Topology,
        boot_cpu: HwId,
        options: &SmpOptions,
        _: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String> {
        let options = ProbeOptions { boot_cpu, method: MethodIndex(0), nr_cpus: options.nr_cpus };
        let numbers = (1..MAX_CPUS as u64).map(HwId);
        let mut answers = |hw_id: HwId| {
            let begun = timer::ticks();
            let stopped = self.0.cpu_stop(hw_id.0).is_ok();
            // Hundreds do not exist.
            if stopped {
                trace::record_at(begun, Kind::Begin, name::cfe_cpu_stop, 0);
                trace::end(name::cfe_cpu_stop);
            }
            stopped
        };
        let findings = topology.probe(&options, numbers, &mut answers, left_out);
        println!("Detected {} available secondary CPU(s)", topology.cpus().len() - 1);
        Ok(findings)
    }
}

/// CFE, called from the boot CPU, whichever CPU asks: it stops no CPU for another.
pub struct OnBootCpu(pub EntryState);

/// A call that the boot CPU is to make for another.
struct Errand {
    /// Its number, for one that is answered too late not to be taken for the next.
    number: u32,
    firmware: EntryState,
    request: Request,
    is_done: bool,
}

static ERRAND: IrqLock<Option<Errand>> = IrqLock::new(None);
static DONE: Completion = Completion::new();

impl Firmware for OnBootCpu {
    fn call(&self, request: &mut Request) {
        // Of the calls that come this way, those are all but the few that stop a CPU.
        count::note_reference();
        {
            // The CPU must stay the same until the call is made.
            let _masked = interrupts::mask();
            if smp_processor_id().is_boot() {
                return self.0.call(request);
            }
        }
        match send_boot_cpu(self.0, *request) {
            Some(answer) => *request = answer,
            None => request.status = Error::NotReady.code(),
        }
    }
}

/// Has the boot CPU hand `request` over: the answer, or `None` if that takes too long. One request for CPUs is under way at a time.
fn send_boot_cpu(firmware: EntryState, request: Request) -> Option<Request> {
    static ERRANDS: AtomicU32 = AtomicU32::new(0);
    let number = ERRANDS.fetch_add(1, Ordering::Relaxed);
    *ERRAND.lock() = Some(Errand { number, firmware, request, is_done: false });
    let deadline = clock::ticks_after(PATIENCE);
    ipi::smp_call_function_single(CpuIndex::BOOT, run_errand, number).ok()?;
    while DONE.wait(deadline).is_ok() {
        if let Some(errand) = ERRAND.lock().take_if(|errand| errand.is_done) {
            return Some(errand.request);
        }
    }
    // One that was not begun is not made any more.
    ERRAND.lock().take();
    None
}

/// On the boot CPU, in its interrupt handler.
fn run_errand(number: u32) {
    if let Some(errand) = ERRAND.lock().as_mut().filter(|errand| errand.number == number) {
        errand.firmware.call(&mut errand.request);
        errand.is_done = true;
    }
    DONE.complete();
}
