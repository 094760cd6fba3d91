use reveille_trace_format::Phase;

use super::*;

fn boot(image: &str) -> Record<String> {
    Record::Boot {
        schema: SCHEMA,
        image: image.into(),
        version: "0.1.0".into(),
        entry_level: Some(1),
        boot_hw_id: 0,
        counter_ns: None,
    }
}

fn cpu(index: u32, outcome: Outcome) -> Record<String> {
    let online = outcome == Outcome::Online;
    Record::Cpu {
        index,
        hw_id: u64::from(index),
        possible: true,
        present: true,
        online,
        active: online,
        outcome,
        reason: (!online).then(|| "no answer".to_owned()),
        lost_events: 0,
    }
}

fn event(cpu: u32, ns: u64, phase: Phase, name: &str) -> Record<String> {
    Record::Event { cpu, ns, phase, name: name.into(), target: None }
}

fn done(asked: u32, online: u32) -> Record<String> {
    Record::Done { asked, online, prepare_ns: 7, bringup_ns: 9, passed: true }
}

fn assemble(records: impl IntoIterator<Item = Record<String>>) -> Option<Report> {
    let mut assembly = Assembly::default();
    records.into_iter().for_each(|record| assembly.take(record));
    assembly.finish("virt", false)
}

#[test]
fn cpus_come_in_any_order_and_events_keep_theirs() {
    let report = assemble([
        boot("kernel"),
        event(1, 5, Phase::Begin, "secondary_entry"),
        cpu(2, Outcome::Online),
        cpu(0, Outcome::Online),
        event(0, 1, Phase::Begin, "start_kernel"),
        cpu(1, Outcome::Online),
        event(1, 6, Phase::Instant, "online"),
        done(3, 3),
    ])
    .unwrap();
    assert_eq!(report.masks.online, [0, 1, 2]);
    assert_eq!(report.cpus.iter().map(|cpu| cpu.index).collect::<Vec<_>>(), [0, 1, 2]);
    let names: Vec<_> = report.cpus[1].events.iter().map(|event| (event.name.as_str(), event.ns)).collect();
    assert_eq!(names, [("secondary_entry", 5), ("online", 6)]);
    assert_eq!((report.end, report.asked_count, report.prepare_ns, report.bringup_ns), (End::Done, 3, 7, 9));
}

#[test]
fn a_dead_cpu_keeps_its_reason_and_its_missing_ends() {
    let report = assemble([
        boot("kernel"),
        cpu(0, Outcome::Online),
        cpu(1, Outcome::Stuck),
        event(1, 5, Phase::Begin, "secondary_start_kernel"),
        done(2, 1),
    ])
    .unwrap();
    assert_eq!((report.masks.online.as_slice(), report.masks.present.as_slice()), (&[0][..], &[0, 1][..]));
    assert_eq!(report.cpus[1].reason.as_deref(), Some("no answer"));
    assert_eq!(report.cpus[1].events.len(), 1);
}

#[test]
fn records_that_break_off_still_make_a_report() {
    let report = assemble([boot("kernel"), cpu(0, Outcome::Online), cpu(1, Outcome::TimedOut)]).unwrap();
    assert_eq!((report.end, report.asked_count, report.online_count, report.passed), (End::Died, 2, 1, false));
}

#[test]
fn without_an_image_there_is_no_report() {
    assert_eq!(assemble([done(1, 1)]), None);
}

#[test]
fn a_second_image_begins_anew() {
    let report = assemble([boot("loader"), cpu(3, Outcome::Online), boot("kernel"), cpu(0, Outcome::Online)]).unwrap();
    assert_eq!((report.image.as_str(), report.cpus.len()), ("kernel", 1));
}

#[test]
fn another_schema_is_noticed() {
    let mut assembly = Assembly::default();
    assembly.take(Record::Boot {
        schema: 2,
        image: "kernel".into(),
        version: "9".into(),
        entry_level: Some(1),
        boot_hw_id: 0,
        counter_ns: None,
    });
    assert_eq!(assembly.unknown_schema(), Some(2));
}

fn call(guest: Option<u32>, cpu: u32, ns: u64, function: &str, target: Option<u32>) -> Record<String> {
    let (id, code) = (0xc400_0003, target.map(|_| 0));
    let code_name = target.map(|_| "SUCCESS".to_owned());
    let function = function.to_owned();
    Record::Call { guest, cpu, ns, id, function, arguments: [0; 3], target, code, code_name, faulty: false }
}

fn entered(guest: Option<u32>, cpu: u32, ns: u64) -> Record<String> {
    Record::Entered { guest, cpu, ns, hw_id: u64::from(cpu), address: 0x4020_0000, level: 1 }
}

/// What a hypervisor tells of a guest with so many vCPUs, of which vCPU 1 was started.
fn guest(number: u32, vcpus: u32) -> Vec<Record<String>> {
    let guest = Some(number);
    let mut records = vec![Record::Guest { guest: number, name: format!("guest{number}") }];
    records.extend((0..vcpus).map(|cpu| Record::FirmwareCpu { guest, cpu, hw_id: u64::from(cpu) }));
    records.extend([entered(guest, 0, 1_000), call(guest, 0, 2_000, "CPU_ON", Some(1)), entered(guest, 1, 2_500)]);
    records
}

fn ended(guest: u32, well: bool) -> Record<String> {
    Record::GuestEnded { guest, ns: 9_000, well, how: if well { "switched itself off" } else { "crashed" }.into() }
}

fn guests(records: Vec<Record<String>>, timed_out: bool) -> Vec<Report> {
    let mut assembly = Assembly::default();
    std::iter::once(boot("hypervisor")).chain(records).for_each(|record| assembly.take(record));
    assembly.guests("virt", timed_out)
}

#[test]
fn a_guests_vcpus_are_what_the_hypervisor_tells_of_them() {
    let reports = guests([guest(0, 3), vec![ended(0, true)]].concat(), false);
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    let outcomes: Vec<Outcome> = report.cpus.iter().map(|cpu| cpu.outcome).collect();
    assert_eq!(outcomes, [Outcome::Online, Outcome::Online, Outcome::NotAsked]);
    assert_eq!((report.online_count, report.asked_count, report.passed, report.end), (2, 2, true, End::Done));
    assert_eq!((report.counter_ns, report.entry_level, report.bringup_ns), (Some(1_000), Some(1), 500));
    assert_eq!((report.calls.len(), report.entries.len()), (1, 2));
    let named = report.guest.as_ref().map(|guest| (guest.number, guest.name.as_str(), guest.ended.as_deref()));
    assert_eq!(named, Some((0, "guest0", Some("switched itself off"))));
}

#[test]
fn records_of_guests_are_of_no_other_stage_and_of_no_other_guest() {
    let mut assembly = Assembly::default();
    let records = [vec![boot("hypervisor")], guest(0, 2), guest(1, 4), vec![cpu(0, Outcome::Online), done(1, 1)]];
    records.concat().into_iter().for_each(|record| assembly.take(record));
    assembly.take(Record::Lost { guest: Some(1), count: 3 });
    let reports = assembly.guests("virt", false);
    assert_eq!(reports.iter().map(|report| report.cpus.len()).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(reports.iter().map(|report| report.lost_calls).collect::<Vec<_>>(), [0, 3]);
    let hypervisor = assembly.finish("virt", false).unwrap();
    assert_eq!((hypervisor.cpus.len(), hypervisor.calls.len(), hypervisor.end), (1, 0, End::Done));
}

#[test]
fn with_guest_0_the_run_ends_and_a_guest_that_did_not_end_well_has_not_passed() {
    let two = || [guest(0, 2), guest(1, 2)].concat();
    let ends = |records, timed_out| -> Vec<(End, bool)> {
        guests(records, timed_out).iter().map(|report| (report.end, report.passed)).collect()
    };
    assert_eq!(ends([two(), vec![ended(0, true)]].concat(), false), [(End::Done, true), (End::Done, true)]);
    assert_eq!(ends([two(), vec![ended(1, false)]].concat(), true), [(End::TimedOut, true), (End::TimedOut, false)]);
    assert_eq!(ends(two(), false), [(End::Died, true), (End::Died, true)]);
}
