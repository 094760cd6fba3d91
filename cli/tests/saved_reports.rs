//! What `show` and `diff` make of saved reports: two real boots, one good and one with a dead CPU, and broken files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A saved report that the pictures in docs/ are drawn from.
fn saved(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures").join(name)
}

fn reveille(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reveille")).args(arguments).output().unwrap()
}

fn output(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Checks that the command refuses its arguments with one line that has `expected` in it.
fn refuses(arguments: &[&Path], expected: &str) {
    let (code, stdout, stderr) = output(&reveille(arguments));
    assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    assert!(stdout.is_empty() && stderr.lines().count() == 1, "{arguments:?}: {stdout}{stderr}");
    assert!(stderr.starts_with("reveille: ") && stderr.contains(expected), "{arguments:?}: {stderr}");
}

#[test]
fn show_prints_the_summary_and_on_demand_the_tree() {
    let report = saved("dead-cpu.json");
    let (code, plain, stderr) = output(&reveille(&["show".as_ref(), &report]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(plain.contains("CPU 5  0x5  timed out  never arrived (firmware says ON)"), "{plain}");
    assert!(plain.contains("7 of 8 CPUs online") && !plain.contains("secondary_entry"), "{plain}");
    let (_, with_tree, _) = output(&reveille(&["show".as_ref(), &report, "--tree".as_ref()]));
    assert!(with_tree.contains("secondary_entry") && with_tree.ends_with(&plain), "{with_tree}");
}

#[test]
fn show_draws_the_pictures_of_the_documentation() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["four-cpus", "dead-cpu", "chain"] {
        let file = directory.path().join("picture.svg");
        let report = saved(&format!("{name}.json"));
        let (code, _, stderr) = output(&reveille(&["show".as_ref(), &report, "--timeline".as_ref(), &file]));
        assert_eq!(code, Some(0), "{stderr}");
        let picture = saved(&format!("{name}.svg"));
        let same = std::fs::read(&file).unwrap() == std::fs::read(&picture).unwrap();
        assert!(same, "{} is out of date: draw it again as docs/pictures/README.md says", picture.display());
    }
}

#[test]
fn show_writes_a_trace() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trace.json");
    let (code, ..) = output(&reveille(&["show".as_ref(), &saved("four-cpus.json"), "--perfetto".as_ref(), &file]));
    assert_eq!(code, Some(0));
    let trace: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let arrows = |phase| trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == phase).count();
    assert_eq!((arrows("s"), arrows("f")), (3, 3));
}

#[test]
fn what_is_no_report_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let [cut, future, tree, empty] =
        ["cut.json", "future.json", "board.dts", "empty.json"].map(|name| directory.path().join(name));
    let whole = std::fs::read_to_string(saved("four-cpus.json")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    std::fs::write(&future, whole.replacen("\"schema\": 1", "\"schema\": 7", 1)).unwrap();
    std::fs::write(&tree, "/dts-v1/;\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let missing = directory.path().join("missing.json");
    let cases: [(&Path, &str); 6] = [
        (&missing, "No such file"),
        (directory.path(), "directory"),
        (&cut, "it is cut off at line"),
        (&empty, "it is empty"),
        (&future, "version 7, and this command reads version 1"),
        (&tree, "it is not JSON"),
    ];
    for (file, expected) in cases {
        refuses(&["show".as_ref(), file], expected);
        refuses(&["diff".as_ref(), file, &saved("four-cpus.json")], expected);
        refuses(&["diff".as_ref(), &saved("four-cpus.json"), file], expected);
    }
    refuses(&["show".as_ref()], "REPORT.json");
    refuses(&["diff".as_ref(), &missing], "B.json");
    refuses(
        &["show".as_ref(), &saved("four-cpus.json"), "--timeline".as_ref(), directory.path()],
        "cannot write the timeline",
    );
}

#[test]
fn diff_exits_as_diff_does() {
    let (good, dead) = (saved("four-cpus.json"), saved("dead-cpu.json"));
    let (code, text, _) = output(&reveille(&["diff".as_ref(), &good, &good]));
    assert_eq!((code, text.as_str()), (Some(0), "the outcomes are the same: 4 of 4 CPUs online\n"));
    let (code, text, _) = output(&reveille(&["diff".as_ref(), &good, &dead]));
    assert_eq!(code, Some(1));
    assert!(text.contains("CPU 5: not there → timed out: never arrived (firmware says ON)"), "{text}");
}

#[test]
fn diff_does_not_compare_the_times_of_two_machines() {
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.json");
    let whole = std::fs::read_to_string(saved("four-cpus.json")).unwrap();
    let figure = whole.lines().find(|line| line.contains("\"bringup_ns\"")).unwrap();
    let slow = whole.replace(figure, "  \"bringup_ns\": 900000000,");
    for (machine, compares) in [("virt", true), ("raspi3b", false)] {
        std::fs::write(&other, slow.replace("\"machine\": \"virt\"", &format!("\"machine\": {machine:?}"))).unwrap();
        let (code, text, stderr) = output(&reveille(&["diff".as_ref(), &saved("four-cpus.json"), &other]));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "the outcomes are the same");
        assert_eq!(text.contains("900.000 ms"), compares, "{text}");
        let said = "machine: virt → raspi3b; the times of two machines are not compared";
        assert_eq!(text.contains(said), !compares, "{text}");
    }
}

/// Has every number of the member `name` be `number`, wherever it stands.
fn replace_all(value: &mut Value, name: &str, number: u64) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                if member == name && value.is_u64() {
                    *value = number.into();
                }
                replace_all(value, name, number);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| replace_all(element, name, number)),
        _ => {}
    }
}

#[test]
fn numbers_as_large_as_they_can_be_are_shown_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let [file, picture, trace] = ["odd.json", "odd.svg", "trace.json"].map(|name| directory.path().join(name));
    let (largest, largest_cpu) = (u64::MAX, u64::from(u32::MAX));
    for name in ["four-cpus", "dead-cpu", "chain"] {
        let whole: Value = serde_json::from_slice(&std::fs::read(saved(&format!("{name}.json"))).unwrap()).unwrap();
        for (member, number) in [
            ("ns", largest),
            ("counter_ns", largest),
            ("counter_ns", 0),
            ("bringup_ns", largest),
            ("hw_id", largest),
            ("index", largest_cpu),
            ("target", largest_cpu),
            ("cpu", largest_cpu),
            ("lost_events", largest_cpu),
            ("number", largest_cpu),
        ] {
            let mut odd = whole.clone();
            replace_all(&mut odd, member, number);
            std::fs::write(&file, odd.to_string()).unwrap();
            let arguments: [&Path; 7] = [
                "show".as_ref(),
                &file,
                "--tree".as_ref(),
                "--timeline".as_ref(),
                &picture,
                "--perfetto".as_ref(),
                &trace,
            ];
            let (code, _, stderr) = output(&reveille(&arguments));
            assert_eq!(code, Some(0), "{name}, {member} {number}: {stderr}");
            assert!(std::fs::metadata(&picture).unwrap().len() < 1 << 20, "{name}, {member} {number}");
        }
    }
}

#[cfg(unix)]
#[test]
fn escape_sequences_in_a_report_do_not_reach_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hostile.json");
    let whole = std::fs::read_to_string(saved("four-cpus.json")).unwrap();
    std::fs::write(&file, whole.replace("secondary_entry", "\\u001b[2J\\u202e")).unwrap();
    let (code, text, _) = output(&reveille(&["show".as_ref(), &file, "--tree".as_ref()]));
    assert_eq!(code, Some(0));
    assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("\u{fffd}[2J\u{fffd}"), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_does_not_cost_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace.json");
    let files: [&Path; 4] = ["--timeline".as_ref(), "/dev/full".as_ref(), "--perfetto".as_ref(), &trace];
    let report = saved("four-cpus.json");
    let (code, _, stderr) = output(&reveille(&[["show".as_ref(), report.as_path()].as_slice(), &files].concat()));
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.contains("the timeline in /dev/full is not whole"), "{stderr}");
    let trace: Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| !events.is_empty()));
}

#[test]
fn one_file_for_two_pictures_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("picture");
    let report = saved("four-cpus.json");
    let arguments: [&Path; 6] = [
        "show".as_ref(),
        &report,
        "--timeline".as_ref(),
        &file,
        "--perfetto".as_ref(),
        &directory.path().join("./picture"),
    ];
    refuses(&arguments, "cannot write the trace to");
    assert!(!file.exists());
}

#[test]
fn output_that_has_no_room_is_complained_about_and_a_reader_that_went_away_is_not() {
    let show = |output: std::process::Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let output = command.args(["show".as_ref(), saved("four-cpus.json").as_os_str()]).stdout(output).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = show(std::fs::File::create("/dev/full").unwrap().into());
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.contains("what was printed is not whole"), "{stderr}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(show(writer.into()), (Some(0), String::new()));
}
