//! The enable method `parking-protocol` of machines that ACPI describes and that have no PSCI (Multi-processor Startup for ARM
//! Platforms, version 1.0; Linux's `acpi_parking_protocol.c`): CPUs that firmware parks, each at a mailbox in memory, until an
//! interrupt makes them look into it.
//!
//! Firmware lets a CPU go once. It then comes into our pen, finds its record there by MPIDR, and stays ours: that is where it goes
//! when it is taken down, and where later kicks find it. So what is in the mailbox says whose the CPU is, and nothing is written there
//! once firmware was told: what firmware acknowledges meanwhile would be undone.

use core::ptr::NonNull;

use reveille::{CallError, ContextId, Cpu, EnableMethod, FirmwareState};

use crate::pen::Pen;

/// The mailbox of a CPU. Little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Mailbox {
    /// Whom the mailbox is for: the number of the CPU's interface to the interrupt controller, or [`Self::NOBODY`].
    pub cpu_id: u32,
    /// Nobody's.
    pub reserved: u32,
    /// Where the CPU is to go on; firmware clears it when the CPU goes.
    pub jump_address: u64,
}

impl Mailbox {
    /// The id that firmware puts there at first.
    pub const NOBODY: u32 = u32::MAX;
}

/// What the method needs of the system.
pub trait Parking: Sync {
    /// Makes the mailbox at a physical address usable, as device memory: its virtual address, for as long as the system runs. `None` if
    /// that is not possible. The address is a multiple of 8.
    fn map(&self, physical: u64) -> Option<NonNull<Mailbox>>;

    /// Interrupts `cpu`, which has not run yet, by an SGI: on GICv3 by its id, on GICv2 by the number of its interface.
    fn interrupt(&self, cpu: &Cpu);

    /// Has what was written to a mailbox before be there before what is done next: DSB SY, which is enough on every system but a
    /// simulated one.
    fn complete_writes(&self) {
        // SAFETY: a barrier.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            core::arch::asm!("dsb sy", options(nostack, preserves_flags));
        }
    }
}

/// The method.
pub struct ParkingProtocol<N, P> {
    pen: N,
    parking: P,
}

/// Where a CPU is.
enum Place {
    /// With firmware, which was not told yet to let it go.
    Parked,
    /// With firmware, which was told.
    Going,
    /// In our pen, or out of it.
    Ours,
}

const fn refused(code: i64, meaning: &'static str) -> CallError {
    CallError { call: "parking protocol", code, meaning }
}

impl<N: Pen, P: Parking> ParkingProtocol<N, P> {
    /// The method, which has CPUs enter `pen`.
    ///
    /// # Safety
    /// `parking` maps what it is asked for, and the MADT whose CPUs are booted tells the truth about mailboxes: what lies there is
    /// overwritten.
    #[must_use]
    pub const unsafe fn new(pen: N, parking: P) -> Self {
        Self { pen, parking }
    }

    /// The CPU's mailbox, and what it is called there.
    fn mailbox(&self, cpu: &Cpu) -> Result<(NonNull<Mailbox>, u32), CallError> {
        let address = cpu.release_address.ok_or(refused(0, "the CPU has no mailbox"))?;
        let id = cpu.acpi.ok_or(refused(0, "ACPI does not describe the CPU"))?.cpu_interface;
        if address == 0 || address % 8 != 0 {
            return Err(refused(address as i64, "the address of the mailbox is 0 or no multiple of 8"));
        }
        let mailbox = self.parking.map(address).ok_or(refused(address as i64, "the mailbox cannot be mapped"))?;
        Ok((mailbox, id))
    }

    /// Where the CPU with this mailbox is.
    fn place(&self, mailbox: NonNull<Mailbox>, id: u32) -> Result<Place, CallError> {
        let mailbox = mailbox.as_ptr();
        // SAFETY: whoever made this method says that the mailbox is mapped.
        let (cpu_id, jump_address) = unsafe {
            ((&raw const (*mailbox).cpu_id).read_volatile(), (&raw const (*mailbox).jump_address).read_volatile())
        };
        match (u32::from_le(cpu_id), u64::from_le(jump_address)) {
            (Mailbox::NOBODY, _) => Ok(Place::Parked),
            (cpu_id, _) if cpu_id != id => Err(refused(cpu_id.into(), "the mailbox is another CPU's")),
            (_, 0) => Ok(Place::Ours),
            (_, address) if address == self.pen.entry() => Ok(Place::Going),
            (_, address) => Err(refused(address as i64, "the CPU was told before to go elsewhere")),
        }
    }

    /// Tells firmware to let the CPU with this mailbox go. It does when the CPU is interrupted.
    fn let_go(&self, mailbox: NonNull<Mailbox>, id: u32) {
        let mailbox = mailbox.as_ptr();
        // The address before the id: whatever wakes the CPU in between, it goes nowhere as long as the mailbox is not its own.
        // SAFETY: whoever made this method says that the mailbox is mapped and ours to write.
        unsafe { (&raw mut (*mailbox).jump_address).write_volatile(self.pen.entry().to_le()) };
        self.parking.complete_writes();
        // SAFETY: as above.
        unsafe { (&raw mut (*mailbox).cpu_id).write_volatile(id.to_le()) };
        self.parking.complete_writes();
    }
}

impl<N: Pen, P: Parking> EnableMethod for ParkingProtocol<N, P> {
    fn name(&self) -> &'static str {
        "parking-protocol"
    }

    fn cpu_init(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.mailbox(cpu).map(|_| ())
    }

    /// There is nothing to do before the CPU is booted.
    fn cpu_prepare(&self, _cpu: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    /// Lets the CPU out of our pen; and, if firmware still has it, writes the address of the pen to the mailbox, then the CPU's id, then
    /// interrupts it (Linux's `acpi_parking_protocol_cpu_boot`). A CPU that was told to go and did not is interrupted again.
    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let (mailbox, id) = self.mailbox(cpu)?;
        let place = self.place(mailbox, id)?;
        self.pen.release(cpu, context);
        match place {
            Place::Parked => self.let_go(mailbox, id),
            Place::Going => {}
            Place::Ours => return Ok(()),
        }
        self.parking.interrupt(cpu);
        Ok(())
    }

    /// It can go back into our pen at any time.
    fn cpu_can_disable(&self, _cpu: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    /// Goes back into our pen. Does not return.
    fn cpu_die(&self, _cpu: &Cpu) -> i64 {
        self.pen.enter()
    }

    /// Whether firmware has let it go (which Linux looks at in `acpi_parking_protocol_cpu_postboot`); what it does since, nobody says.
    /// One that was told to go and did not is off, not on its way: it does not come by itself, and is to be kicked again.
    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        match self.mailbox(cpu).and_then(|(mailbox, id)| self.place(mailbox, id)) {
            Ok(Place::Parked | Place::Going) => FirmwareState::Off,
            Ok(Place::Ours) => FirmwareState::Unknown,
            Err(error) => FirmwareState::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::sync::Mutex;
    use std::vec;
    use std::vec::Vec;

    use reveille::topology::{AcpiCpu, MadtOptions, MethodIndex};
    use reveille::{
        CpuIndex, HwId, Instant, MAX_CPUS, Outcome, Plan, Platform, Policy, Smp, SmpOptions, Summary, Timeout, Topology,
    };

    use super::*;

    const PEN: u64 = 0x4020_1000;
    const PARKED: Mailbox = Mailbox { cpu_id: Mailbox::NOBODY, reserved: 0, jump_address: 0 };

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Did {
        Release(u64, u32),
        Interrupt(u64, Mailbox),
    }
    use Did::{Interrupt, Release};

    /// Parked CPUs, whose mailboxes lie in the memory of the test.
    struct Machine {
        /// Whether firmware lets CPUs go.
        firmware_works: bool,
        did: Mutex<Vec<Did>>,
        /// Where CPUs come out of the pen.
        smp: Option<&'static Smp>,
    }

    impl Machine {
        fn new(firmware_works: bool) -> Self {
            Self { firmware_works, did: Mutex::new(Vec::new()), smp: None }
        }

        fn did(&self) -> Vec<Did> {
            core::mem::take(&mut self.did.lock().unwrap())
        }
    }

    impl Pen for &Machine {
        fn entry(&self) -> u64 {
            PEN
        }

        fn release(&self, cpu: &Cpu, context: ContextId) {
            self.did.lock().unwrap().push(Release(cpu.hw_id.0, context.to_raw()));
        }

        fn enter(&self) -> ! {
            panic!("in the pen")
        }
    }

    impl Parking for &Machine {
        fn map(&self, physical: u64) -> Option<NonNull<Mailbox>> {
            NonNull::new(core::ptr::with_exposed_provenance_mut(physical as usize))
        }

        /// What firmware does on the CPU, and then what the CPU does.
        fn interrupt(&self, cpu: &Cpu) {
            let mut mailbox = self.map(cpu.release_address.unwrap()).unwrap();
            // SAFETY: it lies in a box that the test has leaked, and nobody uses it meanwhile.
            let mailbox = unsafe { mailbox.as_mut() };
            self.did.lock().unwrap().push(Interrupt(cpu.hw_id.0, *mailbox));
            if !self.firmware_works || mailbox.cpu_id != cpu.acpi.unwrap().cpu_interface || mailbox.jump_address != PEN
            {
                return;
            }
            mailbox.jump_address = 0;
            let Some(smp) = self.smp else { return };
            let did = self.did.lock().unwrap();
            let released = did.iter().rev().find_map(|did| match did {
                Release(id, context) if *id == cpu.hw_id.0 => ContextId::from_raw(*context),
                _ => None,
            });
            smp.claim(released.unwrap()).unwrap().online().unwrap();
        }
    }

    /// A mailbox that stays where it is, and its address.
    fn leak(mailbox: Mailbox) -> u64 {
        Box::into_raw(Box::new(mailbox)).expose_provenance() as u64
    }

    fn cpu(mailbox: Mailbox) -> Cpu {
        let acpi = Some(AcpiCpu { uid: 3, cpu_interface: 7 });
        let release_address = Some(leak(mailbox));
        Cpu { hw_id: HwId(0x103), release_address, acpi, ..Topology::new(HwId(0)).cpus()[0] }
    }

    fn context() -> ContextId {
        ContextId::new(CpuIndex::new(5).unwrap(), reveille::ClaimWord::new().kick().unwrap())
    }

    fn method(machine: &Machine) -> ParkingProtocol<&Machine, &Machine> {
        // SAFETY: the mailboxes of the test are its own.
        unsafe { ParkingProtocol::new(machine, machine) }
    }

    #[test]
    fn a_parked_cpu_finds_address_and_id_when_it_is_interrupted() {
        let machine = Machine::new(true);
        let (method, cpu) = (method(&machine), cpu(PARKED));
        method.cpu_init(&cpu).unwrap();
        method.cpu_prepare(&cpu).unwrap();
        assert_eq!((machine.did(), method.affinity_info(&cpu)), (vec![], FirmwareState::Off));
        method.cpu_boot(&cpu, context()).unwrap();
        let told = Mailbox { cpu_id: 7, jump_address: PEN, ..PARKED };
        let released = Release(0x103, context().to_raw());
        assert_eq!(machine.did(), [released, Interrupt(0x103, told)]);

        assert_eq!(method.affinity_info(&cpu), FirmwareState::Unknown);
        method.cpu_boot(&cpu, context()).unwrap();
        assert_eq!(machine.did(), [released], "it is in our pen the second time");
    }

    #[test]
    fn a_cpu_that_firmware_does_not_let_go_is_off_and_interrupted_again() {
        let machine = Machine::new(false);
        let (method, cpu) = (method(&machine), cpu(PARKED));
        for _ in 0..2 {
            method.cpu_boot(&cpu, context()).unwrap();
            assert_eq!(machine.did().len(), 2);
            assert_eq!(method.affinity_info(&cpu), FirmwareState::Off);
        }
    }

    #[test]
    fn a_cpu_that_another_system_has_told_to_go_is_left_alone() {
        let machine = Machine::new(true);
        let cpu = cpu(Mailbox { cpu_id: 7, jump_address: 0x8000_0000, ..PARKED });
        let error = method(&machine).cpu_boot(&cpu, context()).unwrap_err();
        assert_eq!(error, refused(0x8000_0000, "the CPU was told before to go elsewhere"));
        assert_eq!(machine.did(), []);
    }

    #[test]
    fn a_mailbox_that_firmware_has_not_set_up_is_left_alone() {
        let machine = Machine::new(true);
        let cpu = cpu(Mailbox { cpu_id: 0, ..PARKED });
        let error = method(&machine).cpu_boot(&cpu, context()).unwrap_err();
        assert_eq!(error, refused(0, "the mailbox is another CPU's"));
        assert_eq!(machine.did(), []);
        assert_eq!(method(&machine).affinity_info(&cpu), FirmwareState::Refused(error));
    }

    #[test]
    fn a_cpu_without_a_usable_mailbox_is_not_possible() {
        let machine = Machine::new(true);
        let method = method(&machine);
        let parked = cpu(PARKED);
        let address = parked.release_address.unwrap();
        for release_address in [None, Some(0), Some(address + 4)] {
            assert!(method.cpu_init(&Cpu { release_address, ..parked }).is_err(), "{release_address:?}");
        }
        assert!(method.cpu_init(&Cpu { acpi: None, ..parked }).is_err());
        method.cpu_init(&parked).unwrap();
    }

    #[test]
    #[should_panic(expected = "in the pen")]
    fn a_cpu_that_goes_down_goes_into_the_pen() {
        let machine = Machine::new(true);
        method(&machine).cpu_can_disable(&cpu(PARKED)).unwrap();
        method(&machine).cpu_die(&cpu(PARKED));
    }

    /// A MADT with these CPUs: interface, MPIDR and mailbox.
    fn madt(cpus: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut table = vec![0; 44];
        table[..4].copy_from_slice(b"APIC");
        for (interface, mpidr, mailbox) in cpus {
            let mut entry = vec![0; 80];
            entry[..2].copy_from_slice(&[0xb, 80]);
            entry[4..8].copy_from_slice(&interface.to_le_bytes());
            entry[12] = 1;
            entry[16] = 1;
            entry[24..32].copy_from_slice(&mailbox.to_le_bytes());
            entry[68..76].copy_from_slice(&mpidr.to_le_bytes());
            table.extend(entry);
        }
        let length = table.len() as u32;
        table[4..8].copy_from_slice(&length.to_le_bytes());
        table[9] = table.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
        table
    }

    struct Host;

    impl Platform for Host {
        fn now(&self) -> Instant {
            Instant(0)
        }

        fn relax(&self) {}

        fn prepare(&self, _: &Cpu) -> Result<(), CallError> {
            Ok(())
        }
    }

    #[test]
    fn the_cpus_of_a_madt_without_psci_come_up_from_their_mailboxes() {
        let cpus = [(0, 0, 0), (1, 0x100, leak(PARKED)), (2, 0x101, leak(PARKED))];
        let mut topology = Box::new(Topology::new(HwId(0)));
        let options = MadtOptions {
            boot_cpu: HwId(0),
            hw_id_mask: crate::AFFINITY_MASK,
            psci: None,
            parking_protocol: Some(MethodIndex(0)),
            nr_cpus: MAX_CPUS,
        };
        let findings = topology.read_madt(&madt(&cpus), &options, &mut |cpu| panic!("{cpu:?}")).unwrap();
        assert!(findings.boot_cpu_found);

        let smp: &'static Smp = Box::leak(Box::new(Smp::new()));
        let machine = Machine { smp: Some(smp), ..Machine::new(true) };
        let method = method(&machine);
        let methods: [&dyn EnableMethod; 1] = [&method];
        let (options, policy, timeout) = (SmpOptions::from_command_line(""), Policy::PARALLEL, Timeout::DEFAULT);
        let plan = Plan { topology: &topology, methods: &methods, options, policy, timeout };
        let mut outcomes = [Outcome::NotAsked; 3];
        smp.masks.boot_cpu_init();
        smp.init_cpus(&plan, &mut outcomes);
        smp.prepare_cpus(&plan, &mut outcomes);
        assert_eq!(smp.bring_up(&plan, &Host, &mut outcomes), Summary { asked: 3, online: 3 });
        assert_eq!(machine.did().len(), 4, "each was let out of the pen and interrupted once");
    }
}
