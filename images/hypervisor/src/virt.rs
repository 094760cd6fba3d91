//! What makes a CPU able to run guests: the registers of EL2 that are alike for all guests (Xen's `setup_virt_paging`).

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;

use reveille::CpuIndex;
use reveille_runtime::arch::{interrupts, processor, timer};
use reveille_runtime::cpus::SMP;
use reveille_runtime::{clock, interrupt_controller, ipi, println, trace};

use crate::guest::memory::ADDRESS_BITS;
use crate::names::name;
use crate::vcpu;
use crate::vcpu::context::{read_register, write_register};
use crate::vcpu::timer as guest_timer;
use crate::vcpu::{enter, list_registers};

/// The private interrupt by which the virtual CPU interface asks for attention (the architecture's recommendation).
const MAINTENANCE: u32 = 25;

/// HCR_EL2 outside guests; for them TGE is 0. What changes translation is the same in both, so that no TLB has to forget.
const HCR: u64 =
    VM | SWIO | PTW | FMO | IMO | AMO | FB | BSU_INNER | TID3 | TSC | TIDCP | TACR | TGE | RW | E2H | TLOR | TERR;
/// Stage 2 translates.
const VM: u64 = 1 << 0;
/// Set/way invalidation cleans, too.
const SWIO: u64 = 1 << 1;
/// No walk of stage 1 goes through a device.
const PTW: u64 = 1 << 2;
/// Interrupts and errors of the machine come out of the guest, and it has virtual ones.
const FMO: u64 = 1 << 3;
const IMO: u64 = 1 << 4;
const AMO: u64 = 1 << 5;
/// What the guest has its CPU forget, all forget, and barriers reach all: a vCPU goes from CPU to CPU.
const FB: u64 = 1 << 9;
const BSU_INNER: u64 = 1 << 10;
/// WFI and WFE come out of the guest.
const TWI: u64 = 1 << 13;
const TWE: u64 = 1 << 14;
/// Id registers are not read past the hypervisor.
const TID3: u64 = 1 << 18;
/// Nor is firmware called, nor what the implementation defines used.
const TSC: u64 = 1 << 19;
const TIDCP: u64 = 1 << 20;
/// Nor what is kept for no guest: auxiliary control, limited ordering regions, error records.
const TACR: u64 = 1 << 21;
const TLOR: u64 = 1 << 35;
const TERR: u64 = 1 << 36;
const TGE: u64 = 1 << 27;
const RW: u64 = 1 << 31;
const E2H: u64 = 1 << 34;

/// VTCR_EL2 but for the size of physical addresses: pages of 4 KiB from level 1 on, walks cacheable and inner shareable.
const VTCR: u64 = (64 - ADDRESS_BITS as u64) | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 31;

/// CPTR_EL2 with E2H: floating point and SIMD are not trapped, and trace is.
const CPTR: u64 = 3 << 20 | 1 << 28;
/// CNTHCTL_EL2 with E2H: guests read the physical counter, but have no physical timer.
const CNTHCTL: u64 = 1 << 10;
/// MDCR_EL2: what guests do with the performance monitors and with the debug registers traps. A breakpoint of one guest would hit in
/// another, and in the hypervisor.
const MONITORS_AND_DEBUG: u64 = 1 << 6 | 1 << 5 | 1 << 9 | 1 << 10 | 1 << 11;

/// How long other CPUs may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many CPUs can run guests, from the boot on.
static READY: AtomicUsize = AtomicUsize::new(0);
/// All CPUs that came at boot have been set up: those that come later are as they come.
static BOOTED: AtomicBool = AtomicBool::new(false);

/// Makes every CPU that is online able to run guests.
///
/// # Errors
/// A CPU was not done with that in time.
pub fn setup_virt_paging() -> Result<(), &'static str> {
    let _span = trace::span(name::setup_virt_paging);
    interrupt_controller::request_private(guest_timer::INTERRUPT, vcpu::timer_interrupt)?;
    interrupt_controller::request_private(MAINTENANCE, || ())?;
    let online = SMP.masks.online.snapshot();
    for cpu in online.iter().filter(|cpu| !cpu.is_boot()) {
        ipi::smp_call_function_single(cpu, setup_virt_paging_one, 0)
            .map_err(|_| "a CPU that is online takes no calls")?;
    }
    {
        let _masked = interrupts::mask();
        setup_virt_paging_one(0);
    }
    let deadline = clock::ticks_after(PATIENCE);
    while READY.load(Ordering::Acquire) < online.count() {
        if timer::ticks() > deadline {
            return Err("a CPU does not get ready for guests");
        }
        interrupts::relax();
    }
    BOOTED.store(true, Ordering::Release);
    let size = physical_address_size();
    println!("Guests have {ADDRESS_BITS}-bit addresses (PARange {size}), {} list registers", list_registers::count());
    Ok(())
}

/// The size of a physical address, as ID_AA64MMFR0_EL1 encodes it, but at most 48 bits.
fn physical_address_size() -> u64 {
    (read_register!("id_aa64mmfr0_el1") & 0xf).min(5)
}

/// With interrupts masked.
fn setup_virt_paging_one(_: u32) {
    let _span = trace::span(name::setup_virt_paging_one);
    write_register!("vtcr_el2", VTCR | physical_address_size() << 16);
    write_register!("vpidr_el2", read_register!("midr_el1"));
    write_register!("cptr_el2", CPTR);
    write_register!("cnthctl_el2", CNTHCTL);
    write_register!("mdcr_el2", read_register!("mdcr_el2") | MONITORS_AND_DEBUG);
    write_register!("hcr_el2", HCR);
    list_registers::clear();
    write_register!("vbar_el2", enter::vectors() as u64);
    // SAFETY: a barrier, and an invalidation of what stage 2 was before there was one.
    unsafe { core::arch::asm!("isb", "tlbi alle1", "dsb nsh", "isb", options(nostack, preserves_flags)) };
    let hw_id = processor::hw_id();
    for interrupt in [guest_timer::INTERRUPT, MAINTENANCE] {
        if let Err(reason) = interrupt_controller::set_private(hw_id, interrupt, true) {
            println!("CPU {hw_id}: {reason}");
        }
    }
    READY.fetch_add(1, Ordering::Release);
}

/// A CPU that comes back is made able to run guests; at boot it waits for the others. Interrupts are masked.
pub fn set_up_again() {
    if BOOTED.load(Ordering::Acquire) {
        guest_timer::begin();
        setup_virt_paging_one(0);
    }
}

/// This CPU, which goes down and masks interrupts, has nothing of a guest any more.
pub fn tear_down_one() {
    vcpu::put_away();
    let hw_id = processor::hw_id();
    for interrupt in [guest_timer::INTERRUPT, MAINTENANCE] {
        // It was taken before, or never will be.
        let _ = interrupt_controller::set_private(hw_id, interrupt, false);
    }
}

/// Has this CPU, which masks interrupts, be one for guests. WFI and WFE come out of the guest if `waits` says so: where another thread could
/// use the time. The hypervisor itself goes on as before, but that what it invalidates is the guest's (Linux's `__activate_traps`).
pub fn activate_traps(waits: bool) {
    let waits = if waits { TWI | TWE } else { 0 };
    write_register!("hcr_el2", HCR & !TGE | waits);
}

/// Has it be one of the hypervisor alone again.
pub fn deactivate_traps() {
    write_register!("hcr_el2", HCR);
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}

/// The CPUs that run guests, the boot CPU first.
pub fn cpus() -> impl Iterator<Item = CpuIndex> {
    let online = SMP.masks.online.snapshot();
    (0..reveille::MAX_CPUS).filter_map(CpuIndex::new).filter(move |&cpu| online.contains(cpu))
}
