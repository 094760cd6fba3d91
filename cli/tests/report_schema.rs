//! The reports that the command writes keep to the contract in `docs/report.schema.json`.

use reveille_cli::report::Report;
use reveille_cli::report::assemble::Assembly;
use reveille_trace_format::{Outcome, Phase, Record};
use serde_json::{Value, json};

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A report of three CPUs, with every kind of record and every optional field both there and not.
fn report(timed_out: bool) -> Report {
    let boot = Record::Boot {
        schema: 1,
        image: "kernel".to_owned(),
        version: "0.1.0".to_owned(),
        entry_level: Some(2),
        boot_hw_id: 0x8100_0000,
        counter_ns: Some(1_000),
    };
    let cpu = |index: u32, outcome, reason: Option<&str>| Record::Cpu {
        index,
        hw_id: 0xff_00ff_ffff - u64::from(index),
        possible: true,
        present: true,
        online: outcome == Outcome::Online,
        active: outcome == Outcome::Online,
        outcome,
        reason: reason.map(str::to_owned),
        lost_events: index,
    };
    let event = |cpu, ns, phase, name: &str, target| Record::Event { cpu, ns, phase, name: name.to_owned(), target };
    let left_out =
        |hw_id, fault| Record::LeftOut { node: "cpu@3".to_owned(), hw_id, reason: "twice".to_owned(), fault };
    let records = [
        boot,
        cpu(0, Outcome::Online, None),
        cpu(1, Outcome::Online, None),
        cpu(2, Outcome::Failed, Some("CPU_ON: INVALID_PARAMETERS (-2)")),
        left_out(Some(3), true),
        left_out(None, false),
        event(0, 10, Phase::Begin, "smp_init", None),
        event(0, 25, Phase::Instant, "kick", Some(1)),
        event(0, 90, Phase::End, "smp_init", None),
        event(1, 75, Phase::Instant, "online", None),
        Record::Proof { name: "ipi".to_owned(), passed: true, detail: String::new() },
        Record::Done { asked: 3, online: 2, prepare_ns: 5, bringup_ns: 50, passed: true },
    ];
    let mut assembly = Assembly::default();
    records.into_iter().for_each(|record| assembly.take(record));
    assembly.finish("virt", timed_out).unwrap()
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn reports_keep_to_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for timed_out in [false, true] {
        let report = serde_json::to_value(report(timed_out)).unwrap();
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

#[test]
fn a_machine_without_exception_levels_reports_none() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let report = serde_json::to_value(Report { entry_level: None, ..report(false) }).unwrap();
    assert_eq!(report["entry_level"], Value::Null);
    assert!(validator.is_valid(&report));
}

/// A report of a stack of two: firmware with a call that returned, one that did not and one that it does not know.
fn stack() -> Report {
    let boot = Record::Boot {
        schema: 1,
        image: "firmware".to_owned(),
        version: "0.1.0".to_owned(),
        entry_level: Some(3),
        boot_hw_id: 0,
        counter_ns: Some(0),
    };
    let call = |function: &str, target, code: Option<i64>, code_name: Option<&str>| Record::Call {
        guest: None,
        cpu: 0,
        ns: 2_000,
        id: 0xc400_0003,
        function: function.to_owned(),
        arguments: [u64::MAX, 1, 2],
        target,
        code,
        code_name: code_name.map(str::to_owned),
        faulty: code == Some(-3),
    };
    let records = [
        boot,
        Record::FirmwareCpu { guest: None, cpu: 0, hw_id: 0 },
        Record::FirmwareCpu { guest: None, cpu: 1, hw_id: 0x100 },
        Record::Entered { guest: None, cpu: 0, ns: 1_000, hw_id: 0, address: 0x4020_0000, level: 2 },
        call("CPU_ON", Some(1), Some(-3), Some("DENIED")),
        call("unknown", None, Some(-1), None),
        call("SYSTEM_OFF", None, None, None),
        Record::Lost { guest: None, count: 3 },
    ];
    let mut assembly = Assembly::default();
    records.into_iter().for_each(|record| assembly.take(record));
    let kernel = report(false);
    Report { stages: vec![assembly.finish("virt", false).unwrap(), kernel.clone()], ..kernel }
}

#[test]
fn the_stages_of_a_stack_keep_to_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let report = serde_json::to_value(stack()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(report["stages"][0]["calls"][0]["code_name"], "DENIED");
    let breakages: [fn(&mut Value); 4] = [
        |report| report["stages"][0]["calls"][0]["arguments"] = json!([1, 2]),
        |report| report["stages"][0]["entries"][0]["level"] = json!(3),
        |report| report["stages"][1]["end"] = json!("asleep"),
        |report| report["stages"][0]["calls"][0]["extra"] = json!(1),
    ];
    for (number, breakage) in breakages.iter().enumerate() {
        let mut report = report.clone();
        breakage(&mut report);
        assert!(!validator.is_valid(&report), "breakage {number}");
    }
}

/// What a hypervisor tells of a guest with two vCPUs.
fn guest() -> Report {
    let boot = Record::Boot {
        schema: 1,
        image: "hypervisor".to_owned(),
        version: "0.1.0".to_owned(),
        entry_level: Some(2),
        boot_hw_id: 0,
        counter_ns: Some(0),
    };
    let guest = Some(0);
    let entered = |cpu: u32| Record::Entered { guest, cpu, ns: 1_000, hw_id: 0, address: 0x4020_0000, level: 1 };
    let records = [
        boot,
        Record::Guest { guest: 0, name: "guest0".to_owned() },
        Record::FirmwareCpu { guest, cpu: 0, hw_id: 0 },
        entered(0),
        Record::GuestEnded { guest: 0, ns: 5_000, well: true, how: "switched itself off".to_owned() },
    ];
    let mut assembly = Assembly::default();
    records.into_iter().for_each(|record| assembly.take(record));
    assembly.guests("virt", false).remove(0)
}

#[test]
fn a_guest_keeps_to_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let report = serde_json::to_value(guest()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!((&report["guest"]["ended"], &report["entry_level"]), (&json!("switched itself off"), &json!(1)));
    let breakages: [fn(&mut Value); 3] = [
        |report| report["guest"]["number"] = json!("0"),
        |report| report["guest"]["ended"] = json!(0),
        |report| report["guest"]["extra"] = json!(0),
    ];
    for (number, breakage) in breakages.iter().enumerate() {
        let mut report = report.clone();
        breakage(&mut report);
        assert!(!validator.is_valid(&report), "breakage {number}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good = serde_json::to_value(report(false)).unwrap();
    let breakages: [fn(&mut Value); 7] = [
        |report| report["schema"] = json!(2),
        |report| report["extra"] = json!(1),
        |report| drop(report.as_object_mut().unwrap().remove("bringup_ns")),
        |report| report["cpus"][0]["outcome"] = json!("asleep"),
        |report| report["cpus"][0]["events"][0]["ns"] = json!(-1),
        |report| report["cpus"][1]["hw_id"] = json!("0x1"),
        |report| report["masks"]["online"] = json!([0, 0]),
    ];
    for (number, breakage) in breakages.iter().enumerate() {
        let mut report = good.clone();
        breakage(&mut report);
        assert!(!validator.is_valid(&report), "breakage {number}");
    }
}

#[test]
fn the_bringup_time_is_that_of_the_events() {
    let report = report(false);
    assert_eq!(report.bringup_ns_of_events(), Some(report.bringup_ns));
}
