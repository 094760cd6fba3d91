//! Arm's GICv2, as in the GIC-400. It has at most eight CPU interfaces, and names the targets of an SGI by their numbers, which
//! are no affinities: each CPU learns its own when it initialises.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use arm_gic::UniqueMmioPointer;
use arm_gic::gicv2::registers::{Gicc, Gicd, GicdCtlr};
use dtoolkit::fdt::{Fdt, FdtNode};
use reveille::{CpuIndex, HwId};
use safe_mmio::field;

use super::interrupt_controllers::map;
use super::timer;
use crate::devicetree;
use crate::interrupt_controller::{Interrupt, InterruptController};
use crate::ipi::Ipi;
use crate::lock::IrqLock;

/// What devicetrees call it.
pub(super) const COMPATIBLE: [&str; 3] = ["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];

/// The same priority for each of four interrupts.
const PRIORITIES: u32 = 0x8080_8080;
const LOWEST_PRIORITY: u32 = 0xf0;
/// GICC_CTLR: interrupts are signalled. The bits that firmware may have set to keep the legacy signals away stay.
const ENABLE: u32 = 1;
const BYPASS: u32 = 0x1e0;
const SGIS: u32 = 0xffff;
const PPIS: u32 = 0xffff_0000;
/// What GICC_IAR reads from here on is no interrupt.
const FIRST_SPECIAL: u32 = 1020;

crate::per_cpu! {
    /// The bit of this CPU's interface in GICD_SGIR; 0 until the CPU has initialised it.
    static INTERFACE: AtomicU32 = AtomicU32::new(0);
}

/// The distributor, of which the registers of private interrupts are each CPU's own, and this CPU's interface.
struct Registers {
    distributor: UniqueMmioPointer<'static, Gicd>,
    cpu_interface: UniqueMmioPointer<'static, Gicc>,
}

/// The controller.
pub struct GicV2(IrqLock<Registers>);

impl GicV2 {
    /// Resets the distributor of the controller that `node` describes.
    ///
    /// # Errors
    /// What is missing or cannot be mapped.
    pub(super) fn new(fdt: &Fdt<'_>, node: FdtNode<'_>) -> Result<Self, &'static str> {
        let mut regions = devicetree::physical_regions(fdt, node);
        let distributor = regions.next().ok_or("the GIC has no distributor")?;
        let cpu_interface = regions.next().ok_or("the GIC has no CPU interface")?;
        let distributor: NonNull<Gicd> = map(distributor.start, distributor.len())?;
        let cpu_interface: NonNull<Gicc> = map(cpu_interface.start, cpu_interface.len())?;
        // SAFETY: both are mapped as device memory just now, and used through this value alone.
        let (distributor, cpu_interface) =
            unsafe { (UniqueMmioPointer::new(distributor), UniqueMmioPointer::new(cpu_interface)) };
        let mut registers = Registers { distributor, cpu_interface };
        registers.reset_distributor();
        Ok(Self(IrqLock::new(registers)))
    }
}

impl Registers {
    /// Puts every interrupt but the private ones out, and lets the distributor distribute.
    fn reset_distributor(&mut self) {
        field!(self.distributor, ctlr).write(GicdCtlr::empty());
        let interrupts = field!(self.distributor, typer).read().num_irqs() as usize;
        for word in 1..interrupts / 32 {
            field!(self.distributor, icenabler).get(word).expect("a word for every 32 interrupts").write(u32::MAX);
        }
        // Bit 0 enables the only group that a non-secure caller sees, and the one that all interrupts are in where there is
        // no security.
        field!(self.distributor, ctlr).write(GicdCtlr::EnableGrp0);
    }

    /// The bit of this CPU's interface: as what GICD_ITARGETSR0 to 7 read for each private interrupt, which is 0 where there
    /// is but one CPU.
    fn own_interface(&mut self) -> Option<u32> {
        let own = (0..8).find_map(|word| {
            let mut targets = field!(self.distributor, itargetsr);
            let mut word = targets.get(word).expect("the targets of eight times four private interrupts");
            // SAFETY: reading the targets has no side effect.
            let targets = unsafe { word.read_unsafe() };
            targets.to_le_bytes().into_iter().find(|&byte| byte != 0).map(u32::from)
        });
        let is_alone = field!(self.distributor, typer).read().cpu_count() == 1;
        own.filter(|own| own.is_power_of_two()).or(is_alone.then_some(1))
    }

    /// Makes this CPU take SGIs, and no other private interrupts yet.
    fn reset_this_cpu(&mut self) {
        field!(self.distributor, icenabler).get(0).expect("the private interrupts").write(PPIS);
        field!(self.distributor, icactiver).get(0).expect("the private interrupts").write(u32::MAX);
        for word in 0..8 {
            field!(self.distributor, ipriorityr).get(word).expect("the private interrupts").write(PRIORITIES);
        }
        self.enable_private(SGIS);
        field!(self.cpu_interface, pmr).write(LOWEST_PRIORITY);
        let bypass = field!(self.cpu_interface, ctlr).read() & BYPASS;
        field!(self.cpu_interface, ctlr).write(bypass | ENABLE);
    }

    /// Makes this CPU take no interrupt.
    fn disable_this_cpu(&mut self) {
        let bypass = field!(self.cpu_interface, ctlr).read() & BYPASS;
        field!(self.cpu_interface, ctlr).write(bypass);
        self.disable_private(SGIS | PPIS);
    }

    /// Puts these private interrupts of this CPU out, and forgets which of them are pending.
    fn disable_private(&mut self, interrupts: u32) {
        field!(self.distributor, icenabler).get(0).expect("the private interrupts").write(interrupts);
        field!(self.distributor, icpendr).get(0).expect("the private interrupts").write(interrupts);
    }

    fn enable_private(&mut self, interrupts: u32) {
        field!(self.distributor, isenabler).get(0).expect("the private interrupts").write(interrupts);
    }

    /// Has the CPU interfaces of `targets` take the interrupt `number`.
    fn set_targets(&mut self, number: u32, targets: u32) {
        let mut all = field!(self.distributor, itargetsr);
        let mut word = all.get(number as usize / 4).expect("the targets of four interrupts in each word");
        let shift = number % 4 * 8;
        // SAFETY: reading the targets has no side effect, and an interrupt may be given to any interface.
        unsafe {
            let others = word.read_unsafe() & !(0xff << shift);
            word.write_unsafe(others | targets << shift);
        }
    }

    /// Has the CPU interfaces of `targets` take the shared interrupt `number`, and lets it in.
    fn enable_shared(&mut self, number: u32, is_edge: bool, targets: u32) {
        let (word, place) = (number as usize / 16, number % 16 * 2);
        let mut configuration = field!(self.distributor, icfgr);
        let mut configuration = configuration.get(word).expect("the configuration of 16 interrupts in each word");
        let others = configuration.read() & !(0b10 << place);
        configuration.write(others | u32::from(is_edge) << (place + 1));
        let mut priorities = field!(self.distributor, ipriorityr);
        priorities.get(number as usize / 4).expect("the priorities of four interrupts").write(PRIORITIES);
        self.set_targets(number, targets);
        let mut enable = field!(self.distributor, isenabler);
        enable.get(number as usize / 32).expect("a word for every 32 interrupts").write(1 << (number % 32));
    }

    fn acknowledge(&mut self) -> u32 {
        field!(self.cpu_interface, iar).read()
    }

    fn end(&mut self, acknowledged: u32) {
        field!(self.cpu_interface, eoir).write(acknowledged);
    }
}

impl InterruptController for GicV2 {
    fn name(&self) -> &'static str {
        "gic"
    }

    fn init_this_cpu(&self, _hw_id: HwId) -> Result<(), &'static str> {
        let mut registers = self.0.lock();
        let own = registers.own_interface().ok_or("the GIC does not say which CPU interface is this CPU's")?;
        INTERFACE.store(own, Ordering::Relaxed);
        registers.reset_this_cpu();
        Ok(())
    }

    fn enable_timer(&self, _hw_id: HwId) -> Result<(), &'static str> {
        let timer = 1_u32.checked_shl(timer::interrupt()).ok_or("the timer's interrupt is no private one")?;
        self.0.lock().enable_private(timer);
        Ok(())
    }

    fn disable_timer(&self, _hw_id: HwId) {
        self.0.lock().disable_private(1_u32.checked_shl(timer::interrupt()).unwrap_or(0));
    }

    fn disable_this_cpu(&self, _hw_id: HwId) {
        self.0.lock().disable_this_cpu();
    }

    fn enable_shared(&self, interrupt: devicetree::Interrupt, cpu: CpuIndex) -> Result<u32, &'static str> {
        let mut registers = self.0.lock();
        let number = interrupt.number.checked_add(32).ok_or("the GIC has no such interrupt")?;
        let count = field!(registers.distributor, typer).read().num_irqs().min(FIRST_SPECIAL);
        if interrupt.is_private || number >= count {
            return Err("the GIC has no such interrupt");
        }
        registers.enable_shared(number, interrupt.is_edge, INTERFACE.of(cpu).load(Ordering::Relaxed));
        Ok(number)
    }

    fn route_shared(&self, number: u32, cpu: CpuIndex) {
        self.0.lock().set_targets(number, INTERFACE.of(cpu).load(Ordering::Relaxed));
    }

    fn send_ipi(&self, cpu: CpuIndex, ipi: Ipi) {
        let target = INTERFACE.of(cpu).load(Ordering::Relaxed);
        let mut registers = self.0.lock();
        // SAFETY: a barrier: what was written before is visible before the interrupt is.
        unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
        field!(registers.distributor, sgir).write(target << 16 | ipi as u32);
    }

    fn handle(&self, handler: fn(Interrupt)) {
        loop {
            // Of an SGI, bits 12:10 say which CPU sent it, and the end must name it too.
            let acknowledged = self.0.lock().acknowledge();
            let number = acknowledged & 0x3ff;
            if number >= FIRST_SPECIAL {
                return;
            }
            handler(match Ipi::from_number(number) {
                Some(ipi) => Interrupt::Ipi(ipi),
                None if number == timer::interrupt() => Interrupt::Timer,
                None => Interrupt::Shared(number),
            });
            self.0.lock().end(acknowledged);
        }
    }
}
