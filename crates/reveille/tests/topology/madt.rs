//! CPUs from ACPI's MADT: by the rules of Linux arm64, whatever the table says.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use reveille::acpi::{TableError, find_table};
use reveille::topology::{AcpiCpu, Findings, MadtOptions, MethodIndex, Reason};
use reveille::{HwId, MAX_CPUS, Topology};

use super::trees::AFFINITY;

const ENABLED: u32 = 1;
const ONLINE_CAPABLE: u32 = 8;
const GICD: u8 = 0xc;
/// Where the first entry begins.
const FIRST: usize = 44;
const SPIN: MethodIndex = MethodIndex(0);
const PSCI: MethodIndex = MethodIndex(1);

/// What a table says of a CPU.
#[derive(Clone, Debug)]
struct Gicc {
    cpu_interface: u32,
    uid: u32,
    flags: u32,
    parking_version: u32,
    parked_address: u64,
    mpidr: u64,
    length: u8,
}

fn gicc(mpidr: u64) -> Gicc {
    let uid = (mpidr as u32).wrapping_add(100);
    Gicc { cpu_interface: 0, uid, flags: ENABLED, parking_version: 0, parked_address: 0, mpidr, length: 80 }
}

impl Gicc {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(u8::MAX)];
        bytes[..2].copy_from_slice(&[0xb, self.length]);
        let words = [(4, self.cpu_interface), (8, self.uid), (12, self.flags), (16, self.parking_version)];
        words.iter().for_each(|&(offset, word)| bytes[offset..offset + 4].copy_from_slice(&word.to_le_bytes()));
        let doubles = [(24, self.parked_address), (68, self.mpidr)];
        doubles.iter().for_each(|&(offset, word)| bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes()));
        bytes.truncate(usize::from(self.length).max(2));
        bytes
    }
}

/// A table with a length and a checksum that are right.
fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; 36];
    table[..4].copy_from_slice(signature);
    table.extend_from_slice(body);
    let length = table.len() as u32;
    table[4..8].copy_from_slice(&length.to_le_bytes());
    seal(&mut table, 9);
    table
}

/// Makes the bytes add up to 0 by the one at `place`.
fn seal(bytes: &mut [u8], place: usize) {
    bytes[place] = 0;
    bytes[place] = bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
}

fn madt(entries: &[Vec<u8>]) -> Vec<u8> {
    table(b"APIC", &[vec![0; 8], entries.concat()].concat())
}

fn options() -> MadtOptions {
    MadtOptions {
        boot_cpu: HwId(0),
        hw_id_mask: AFFINITY,
        psci: Some(PSCI),
        parking_protocol: Some(SPIN),
        nr_cpus: MAX_CPUS,
    }
}

/// What reading a table came to.
struct Reading {
    topology: Box<Topology>,
    findings: Result<Findings, TableError>,
    left_out: Vec<(String, Option<u64>, Reason)>,
}

impl Reading {
    fn with_options(madt: &[u8], options: &MadtOptions) -> Self {
        let mut topology = Box::new(Topology::new(HwId(0xdead)));
        let mut left_out = Vec::new();
        let findings = topology.read_madt(madt, options, &mut |cpu| {
            left_out.push((cpu.node.to_owned(), cpu.hw_id.map(|id| id.0), cpu.reason));
        });
        Self { topology, findings, left_out }
    }

    fn of(cpus: &[Gicc]) -> Self {
        Self::with_options(&madt(&cpus.iter().map(Gicc::bytes).collect::<Vec<_>>()), &options())
    }

    fn ids(&self) -> Vec<u64> {
        let cpus = self.topology.cpus();
        assert!(cpus.iter().enumerate().all(|(position, cpu)| cpu.index.get() == position));
        cpus.iter().map(|cpu| cpu.hw_id.0).collect()
    }

    fn reasons(&self) -> Vec<(&str, Reason)> {
        self.left_out.iter().map(|(name, _, reason)| (name.as_str(), *reason)).collect()
    }
}

#[test]
fn enabled_cpus_come_in_the_order_of_the_table_with_the_boot_cpu_first() {
    let other = vec![GICD, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cpus = [gicc(0x100).bytes(), other, gicc(1).bytes(), gicc(0).bytes()];
    let reading = Reading::with_options(&madt(&cpus), &options());
    assert_eq!(reading.findings, Ok(Findings { boot_cpu_found: true, left_out: 0 }));
    assert_eq!(reading.ids(), [0, 0x100, 1]);
    assert!(reading.topology.cpus().iter().all(|cpu| cpu.method == Some(PSCI) && cpu.release_address.is_none()));
    assert_eq!(reading.topology.cpus()[1].acpi, Some(AcpiCpu { uid: 0x164, cpu_interface: 0 }));
}

#[test]
fn row_48_of_entries_with_one_id_the_first_counts() {
    let reading = Reading::of(&[gicc(0), gicc(1), Gicc { uid: 7, ..gicc(1) }, Gicc { uid: 8, ..gicc(0) }]);
    assert_eq!(reading.ids(), [0, 1]);
    assert_eq!(reading.reasons(), [("GICC uid 7", Reason::Duplicate), ("GICC uid 8", Reason::Duplicate)]);
    assert_eq!(reading.topology.cpus()[1].acpi.map(|acpi| acpi.uid), Some(101));
}

#[test]
fn row_47_bits_outside_the_affinity_fields_are_an_error() {
    let reading = Reading::of(&[gicc(0), gicc(1 << 31), gicc(u64::MAX), gicc(0xff_00ff_ffff)]);
    assert_eq!(reading.ids(), [0, 0xff_00ff_ffff]);
    let ids = reading.left_out.iter().map(|&(_, id, reason)| (id, reason)).collect::<Vec<_>>();
    assert_eq!(ids, [(Some(1 << 31), Reason::BadId), (Some(u64::MAX), Reason::BadId)]);
}

#[test]
fn a_cpu_that_is_not_enabled_is_no_fault_and_one_that_may_come_later_is_told_apart() {
    let flags = |mpidr, flags| Gicc { flags, ..gicc(mpidr) };
    let cpus = [flags(0, ENABLED), flags(1, 0), flags(2, ONLINE_CAPABLE), flags(3, ENABLED | ONLINE_CAPABLE)];
    let reading = Reading::of(&cpus);
    assert_eq!(reading.ids(), [0, 3]);
    assert_eq!(reading.reasons(), [("GICC uid 101", Reason::NotEnabled), ("GICC uid 102", Reason::OnlineCapable)]);
    assert!(reading.left_out.iter().all(|(.., reason)| !reason.is_fault()));
}

#[test]
fn row_49_without_the_boot_cpu_the_machine_runs_on_it_alone() {
    for absent in [vec![], vec![Gicc { flags: 0, ..gicc(0) }], vec![Gicc { length: 75, ..gicc(0) }]] {
        let reading = Reading::of(&[absent, vec![gicc(1), gicc(2)]].concat());
        assert_eq!(reading.ids(), [0]);
        assert!(!reading.findings.unwrap().boot_cpu_found);
        let missing = reading.left_out.iter().filter(|(.., reason)| *reason == Reason::BootCpuMissing);
        assert_eq!(missing.count(), 2);
    }
}

#[test]
fn row_53_nr_cpus_is_a_hard_cap_and_so_is_the_builds_maximum() {
    let bytes = |count| madt(&(0..count).map(|id| gicc(id).bytes()).collect::<Vec<_>>());
    let reading = Reading::with_options(&bytes(4), &MadtOptions { nr_cpus: 2, ..options() });
    assert_eq!(reading.ids(), [0, 1]);
    assert_eq!(reading.left_out[1].2, Reason::AboveNrCpus);
    let reading = Reading::with_options(&bytes(MAX_CPUS as u64 + 3), &options());
    assert_eq!((reading.ids().len(), reading.left_out.len()), (MAX_CPUS, 3));
    assert!(reading.left_out.iter().all(|(.., reason)| *reason == Reason::AboveBuildMaximum));
}

#[test]
fn without_psci_a_cpu_is_started_by_its_mailbox_or_not_at_all() {
    let parked = |mpidr, parking_version, parked_address| {
        Gicc { parking_version, parked_address, cpu_interface: 5, ..gicc(mpidr) }.bytes()
    };
    let table = madt(&[parked(0, 0, 0), parked(1, 1, 0x8000), parked(2, 0, 0x9000), parked(3, 1, 0)]);
    let reading = Reading::with_options(&table, &MadtOptions { psci: None, ..options() });
    assert_eq!(reading.ids(), [0, 1]);
    let cpu = reading.topology.cpus()[1];
    assert_eq!((cpu.method, cpu.release_address), (Some(SPIN), Some(0x8000)));
    assert_eq!(cpu.acpi, Some(AcpiCpu { uid: 101, cpu_interface: 5 }));
    assert_eq!(reading.topology.cpus()[0].method, None);
    assert!(reading.left_out.iter().all(|(.., reason)| *reason == Reason::NoMethod));
    assert_eq!(reading.left_out.len(), 2);

    let reading = Reading::with_options(&table, &options());
    assert!(reading.topology.cpus().iter().all(|cpu| cpu.method == Some(PSCI)), "PSCI comes first");
    assert_eq!(reading.ids().len(), 4);
}

#[test]
fn entries_of_other_versions_are_read_and_those_that_are_too_short_are_not() {
    let length = |mpidr, length| Gicc { length, ..gicc(mpidr) };
    let cpus = [length(0, 76), length(1, 82), length(2, 255), length(3, 75), length(4, 40), length(5, 2), gicc(6)];
    let reading = Reading::of(&cpus);
    assert_eq!(reading.ids(), [0, 1, 2, 6]);
    let names = reading.left_out.iter().map(|(name, id, reason)| (name.as_str(), *id, *reason));
    let damaged = ["GICC uid 103", "GICC uid 104", "MADT entry at 0x23c"].map(|name| (name, None, Reason::BadEntry));
    assert_eq!(names.collect::<Vec<_>>(), damaged);
}

#[test]
fn reading_ends_at_an_entry_that_does_not_fit() {
    for end in [&[0xb, 0][..], &[0xb, 1], &[0xb], &[GICD, 0, 0, 0], &[0xb, 80, 1]] {
        let table = madt(&[gicc(0).bytes(), end.to_vec()]);
        let reading = Reading::with_options(&table, &options());
        assert_eq!(reading.ids(), [0]);
        assert_eq!(reading.reasons(), [("MADT entry at 0x7c", Reason::BadEntry)], "{end:?}");
        assert_eq!(reading.findings.unwrap().left_out, 1);
    }
}

#[test]
fn a_table_that_is_not_sound_leaves_the_boot_cpu_alone() {
    let sound = madt(&[gicc(0).bytes(), gicc(1).bytes()]);
    let read = |bytes: &[u8]| {
        let reading = Reading::with_options(bytes, &options());
        assert_eq!((reading.ids(), reading.left_out.len()), (vec![0], 0));
        reading.findings.unwrap_err()
    };
    for short in [0, 7, 35, 43, sound.len() - 1] {
        assert_eq!(read(&sound[..short]), TableError::Short, "{short} bytes");
    }
    assert_eq!(read(&table(b"APIC", &[0; 7])), TableError::Short);
    assert_eq!(read(&table(b"FACP", &sound[36..])), TableError::Signature);
    let mut wrong = sound.clone();
    wrong[60] ^= 1;
    assert_eq!(read(&wrong), TableError::Checksum);
    let longer = [sound, vec![1; 9]].concat();
    assert_eq!(Reading::with_options(&longer, &options()).ids(), [0, 1], "what is behind the table does not count");
}

/// Memory with an RSDP's worth of tables, each at a multiple of 0x1000.
fn memory<'a>(tables: &'a [Vec<u8>]) -> impl Fn(u64) -> Option<&'a [u8]> {
    move |address| tables.get(usize::try_from(address).ok()?.checked_sub(0x1000)? / 0x1000).map(Vec::as_slice)
}

fn rsdp(revision: u8, rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut rsdp = b"RSD PTR \0ACME  \0".to_vec();
    rsdp[15] = revision;
    rsdp.extend_from_slice(&rsdt.to_le_bytes());
    seal(&mut rsdp[..20], 8);
    rsdp.extend_from_slice(&36_u32.to_le_bytes());
    rsdp.extend_from_slice(&xsdt.to_le_bytes());
    rsdp.extend_from_slice(&[0; 4]);
    seal(&mut rsdp, 32);
    rsdp
}

#[test]
fn tables_are_found_by_the_xsdt_or_the_rsdt() {
    let wide = [0x3000_u64, 0x4000].map(u64::to_le_bytes).concat();
    let narrow = [0x4000_u32, 0x9000].map(u32::to_le_bytes).concat();
    let tables = [table(b"XSDT", &wide), table(b"RSDT", &narrow), table(b"APIC", &[]), table(b"FACP", &[])];
    let memory = memory(&tables);
    let find = |rsdp: &[u8], signature: &[u8; 4]| find_table(rsdp, *signature, &memory).map(|table| table[0]);
    assert_eq!(find(&rsdp(2, 0x2000, 0x1000), b"APIC"), Ok(b'A'));
    assert_eq!(find(&rsdp(2, 0x2000, 0), b"FACP"), Ok(b'F'), "the RSDT where there is no XSDT");
    assert_eq!(find(&rsdp(0, 0x2000, 0x1000)[..20], b"FACP"), Ok(b'F'), "and in revision 0");
    assert_eq!(find(&rsdp(0, 0x2000, 0x1000), b"APIC"), Err(TableError::Missing));
    assert_eq!(find(&rsdp(2, 0, 0x9000), b"APIC"), Err(TableError::Missing));
    assert_eq!(find(&rsdp(2, 0, 0x3000), b"APIC"), Err(TableError::Signature));
    let mut wrong = rsdp(2, 0, 0x1000);
    wrong[35] ^= 1;
    assert_eq!(find(&wrong, b"APIC"), Err(TableError::Checksum));
    assert_eq!(find(&rsdp(2, 0, 0x1000)[..35], b"APIC"), Err(TableError::Short));
    assert_eq!(find(&[], b"APIC"), Err(TableError::Signature));
}

fn any_gicc() -> impl Strategy<Value = Gicc> {
    let flags = prop_oneof![8 => Just(ENABLED), 1 => Just(ONLINE_CAPABLE), 1 => any::<u32>()];
    let mpidr = prop_oneof![8 => 0u64..12, 1 => any::<u64>()];
    let length = prop_oneof![8 => Just(80_u8), 1 => 2u8..=255];
    (flags, mpidr, length, 0u32..2, any::<u32>()).prop_map(|(flags, mpidr, length, parking_version, uid)| Gicc {
        flags,
        length,
        parking_version,
        uid,
        parked_address: 0x1000,
        ..gicc(mpidr)
    })
}

proptest! {
    #[test]
    fn every_cpu_is_in_the_topology_or_left_out_once(
        cpus in vec(any_gicc(), 0..24),
        boot in 0u64..12,
        psci in any::<bool>(),
        nr_cpus in prop_oneof![Just(MAX_CPUS), 0usize..8],
    ) {
        let options = MadtOptions { boot_cpu: HwId(boot), nr_cpus, psci: psci.then_some(PSCI), ..options() };
        let bytes: Vec<_> = cpus.iter().map(Gicc::bytes).collect();
        let reading = Reading::with_options(&madt(&bytes), &options);
        let findings = reading.findings.unwrap();
        let ids = reading.ids();
        prop_assert_eq!(ids[0], boot);
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        prop_assert!(ids.len() <= nr_cpus.max(1));
        prop_assert!(reading.topology.cpus()[1..].iter().all(|cpu| cpu.method.is_some() && cpu.acpi.is_some()));
        prop_assert_eq!(findings.left_out, reading.left_out.len());
        let described = if findings.boot_cpu_found { ids.len() } else { ids.len() - 1 };
        prop_assert_eq!(described + findings.left_out, cpus.len());
        prop_assert!(findings.boot_cpu_found || ids.len() == 1);
    }

    #[test]
    fn damaged_tables_are_read_to_the_end(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        reseal in any::<bool>(),
    ) {
        let mut bytes = madt(&(0..6).map(|id| gicc(id).bytes()).collect::<Vec<_>>());
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if reseal {
            seal(&mut bytes, 9);
        }
        let reading = Reading::with_options(&bytes, &options());
        prop_assert_eq!(reading.ids()[0], 0);
        prop_assert!((1..=6).contains(&reading.ids().len()));
    }

    #[test]
    fn any_bytes_at_all_are_read_to_the_end(body in vec(any::<u8>(), 0..400)) {
        let bytes = table(b"APIC", &body);
        let reading = Reading::with_options(&bytes, &options());
        prop_assert!(reading.findings.is_ok() == (body.len() >= FIRST - 36));
        let memory = |address: u64| bytes.get(usize::try_from(address).ok()?..);
        let _ = find_table(&body, *b"APIC", &memory);
        let _ = find_table(&rsdp(2, 0, u64::from(body.first().copied().unwrap_or(0))), *b"APIC", &memory);
    }
}
