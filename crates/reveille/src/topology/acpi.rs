//! A [`Topology`] from ACPI's MADT, by the rules of Linux arm64 (`acpi_map_gic_cpu_interface`) and of the ACPI Specification 6.5,
//! section 5.2.12.14.

use core::fmt::{self, Write};

use super::{AcpiCpu, Cpu, Findings, LeftOut, MethodIndex, Reason, Topology};
use crate::acpi::{Table, TableError, u32_at, u64_at};
use crate::cpu::{CpuIndex, HwId};

/// Where the entries of a MADT begin.
const ENTRIES: usize = 44;
/// What an entry begins with: its type and its length, a byte each.
const ENTRY_HEADER: usize = 2;
/// The type of the entry of a CPU's interface to the interrupt controller.
const GICC: u8 = 0xb;
/// The length of such an entry since ACPI 5.1, where it first had the MPIDR. Later versions add to its end.
const GICC_LENGTH: usize = 76;
const ENABLED: u32 = 1 << 0;
const ONLINE_CAPABLE: u32 = 1 << 3;

/// What [`Topology::read_madt`] must know besides the table.
#[derive(Clone, Copy, Debug)]
pub struct MadtOptions {
    /// The CPU that runs, by its own id register.
    pub boot_cpu: HwId,
    /// The bits that an id may have set: on arm64 the affinity fields of MPIDR_EL1, `0xff_00ff_ffff`.
    pub hw_id_mask: u64,
    /// The caller's method `psci`, if the FADT says that firmware has PSCI; it then starts all CPUs.
    pub psci: Option<MethodIndex>,
    /// The caller's method `parking-protocol`, for CPUs with a mailbox where there is no PSCI.
    pub parking_protocol: Option<MethodIndex>,
    /// `nr_cpus`.
    pub nr_cpus: usize,
}

impl Topology {
    /// Reads the machine's CPUs from ACPI's MADT, replacing what the topology held, and calls `left_out` for every CPU that cannot
    /// be used, each once. `madt` may go on behind the table.
    ///
    /// - A CPU is a GICC entry that is enabled. One that is online-capable may be added to the machine later, and is left out.
    /// - The boot CPU is the one whose MPIDR is [`MadtOptions::boot_cpu`], wherever it stands; neither `nr_cpus` nor
    ///   [`MAX_CPUS`](crate::MAX_CPUS) leaves it out. If none is, every CPU is left out.
    /// - Of entries with one MPIDR the first counts.
    /// - An entry that does not fit into the table is where reading ends: it and all behind it are left out as one.
    ///
    /// # Errors
    /// The table is not sound; nothing but the boot CPU is in the topology.
    pub fn read_madt(
        &mut self,
        madt: &[u8],
        options: &MadtOptions,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, TableError> {
        self.clear(options.boot_cpu);
        let madt = Table::parse(madt, *b"APIC")?;
        if madt.bytes().len() < ENTRIES {
            return Err(TableError::Short);
        }
        let is_boot = |entry: Entry<'_>| entry.gicc().is_some_and(|gicc| gicc.hw_id(options) == Ok(options.boot_cpu));
        let boot_cpu_found = Entries::of(&madt).any(is_boot);
        let mut findings = Findings { boot_cpu_found, left_out: 0 };
        let mut reader = Reader { topology: self, options, boot_cpu_found, boot_cpu_read: false };
        for entry in Entries::of(&madt) {
            let read = match entry.gicc() {
                Some(gicc) => reader.read(gicc),
                None if entry.is_whole => continue,
                None => Err(Reason::BadEntry),
            };
            if let Err(reason) = read {
                findings.left_out += 1;
                let hw_id = entry.gicc().and_then(|gicc| u64_at(gicc.0, MPIDR)).map(HwId);
                left_out(LeftOut { node: entry.name().as_str(), hw_id, reason });
            }
        }
        Ok(findings)
    }
}

/// The entries of a MADT. One that does not fit into it is the last.
struct Entries<'a> {
    table: &'a [u8],
    offset: usize,
}

impl<'a> Entries<'a> {
    fn of(madt: &Table<'a>) -> Self {
        Self { table: madt.bytes(), offset: ENTRIES }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = self.table.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let length = rest.get(1).map_or(0, |&length| usize::from(length));
        let whole = rest.get(..length).filter(|entry| entry.len() >= ENTRY_HEADER);
        let entry = Entry { bytes: whole.unwrap_or(rest), offset: self.offset, is_whole: whole.is_some() };
        self.offset += entry.bytes.len();
        Some(entry)
    }
}

struct Entry<'a> {
    bytes: &'a [u8],
    offset: usize,
    is_whole: bool,
}

impl<'a> Entry<'a> {
    fn gicc(&self) -> Option<Gicc<'a>> {
        (self.is_whole && self.bytes[0] == GICC).then_some(Gicc(self.bytes))
    }

    /// What people call it: by ACPI's number of the CPU, where there is one.
    fn name(&self) -> EntryName {
        let mut name = EntryName { text: [0; _], length: 0 };
        // It has room for the longest.
        let _ = match self.gicc().and_then(|gicc| u32_at(gicc.0, UID)) {
            Some(uid) => write!(name, "GICC uid {uid}"),
            None => write!(name, "MADT entry at {:#x}", self.offset),
        };
        name
    }
}

struct EntryName {
    text: [u8; 32],
    length: usize,
}

impl EntryName {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..self.length]).unwrap_or("")
    }
}

impl Write for EntryName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text[self.length..].get_mut(..text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

const CPU_INTERFACE: usize = 4;
const UID: usize = 8;
const FLAGS: usize = 12;
const PARKING_VERSION: usize = 16;
const PARKED_ADDRESS: usize = 24;
const MPIDR: usize = 68;

/// A GICC entry, of any length.
#[derive(Clone, Copy)]
struct Gicc<'a>(&'a [u8]);

impl Gicc<'_> {
    /// The id of the CPU, if it can be used.
    fn hw_id(self, options: &MadtOptions) -> Result<HwId, Reason> {
        if self.0.len() < GICC_LENGTH {
            return Err(Reason::BadEntry);
        }
        let flags = u32_at(self.0, FLAGS).ok_or(Reason::BadEntry)?;
        if flags & ENABLED == 0 {
            return Err(if flags & ONLINE_CAPABLE == 0 { Reason::NotEnabled } else { Reason::OnlineCapable });
        }
        let id = u64_at(self.0, MPIDR).ok_or(Reason::BadEntry)?;
        if id & !options.hw_id_mask == 0 { Ok(HwId(id)) } else { Err(Reason::BadId) }
    }

    /// The address of the CPU's mailbox, if it waits at one.
    fn mailbox(self) -> Option<u64> {
        let version = u32_at(self.0, PARKING_VERSION)?;
        u64_at(self.0, PARKED_ADDRESS).filter(|&address| version != 0 && address != 0)
    }

    /// How it is started (Linux's `acpi_get_enable_method`).
    fn method(self, options: &MadtOptions) -> Option<MethodIndex> {
        options.psci.or(options.parking_protocol.filter(|_| self.mailbox().is_some()))
    }
}

struct Reader<'a> {
    topology: &'a mut Topology,
    options: &'a MadtOptions,
    boot_cpu_found: bool,
    boot_cpu_read: bool,
}

impl Reader<'_> {
    /// Enters the CPU of `gicc` into the topology.
    fn read(&mut self, gicc: Gicc<'_>) -> Result<(), Reason> {
        let hw_id = gicc.hw_id(self.options)?;
        let method = gicc.method(self.options);
        if hw_id == self.options.boot_cpu {
            if core::mem::replace(&mut self.boot_cpu_read, true) {
                return Err(Reason::Duplicate);
            }
            return self.store(CpuIndex::BOOT, gicc, hw_id, method);
        }
        if !self.boot_cpu_found {
            return Err(Reason::BootCpuMissing);
        }
        if self.topology.find(hw_id).is_some() {
            return Err(Reason::Duplicate);
        }
        let method = method.ok_or(Reason::NoMethod)?;
        let index = self.topology.next_index(self.options.nr_cpus)?;
        self.topology.others += 1;
        self.store(index, gicc, hw_id, Some(method))
    }

    fn store(
        &mut self,
        index: CpuIndex,
        gicc: Gicc<'_>,
        hw_id: HwId,
        method: Option<MethodIndex>,
    ) -> Result<(), Reason> {
        let number = |offset| u32_at(gicc.0, offset).ok_or(Reason::BadEntry);
        let acpi = Some(AcpiCpu { uid: number(UID)?, cpu_interface: number(CPU_INTERFACE)? });
        let release_address = gicc.mailbox();
        self.topology.phandles[index.get()] = 0;
        self.topology.cpus[index.get()] =
            Cpu { index, hw_id, method, release_address, placement: None, numa_node: None, acpi };
        Ok(())
    }
}
