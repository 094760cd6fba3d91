//! Boots of machines that are shell scripts: how each way to end is judged, and what is kept of it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reveille_cli::boot::{self, BootOptions, BootRun};
use reveille_cli::console::{ConsoleSink, Silent};
use reveille_cli::error::Error;
use reveille_cli::exit::ExitStatus;
use reveille_cli::image::BuiltImage;
use reveille_cli::report::End;
use reveille_cli::setup::Host;
use reveille_cli::toolchain::{Linker, StandardLibrary, Toolchain};
use reveille_cli::verdict::Verdict;

/// What the image says when it begins, and when it is done with one of two CPUs online.
const BEGIN: &str = r#"
record() { printf '\036%s\n' "$1"; }
record '{"boot":{"schema":1,"image":"kernel","version":"0.1.0","entry_level":1,"boot_hw_id":0}}'
echo booting
"#;
const CPU_0: &str = r#"
record '{"cpu":{"index":0,"hw_id":0,"possible":true,"present":true,"online":true,"active":true,"outcome":"online","reason":null,"lost_events":0}}'
"#;
const CPU_1_DEAD: &str = r#"
record '{"cpu":{"index":1,"hw_id":1,"possible":true,"present":true,"online":false,"active":false,"outcome":"timed_out","reason":"no answer","lost_events":0}}'
"#;

fn done(asked: u32, online: u32) -> String {
    format!(
        "record '{{\"done\":{{\"asked\":{asked},\"online\":{online},\"prepare_ns\":1,\"bringup_ns\":0,\"passed\":true}}}}'\n"
    )
}

fn run_with(script: &str, sink: &mut dyn ConsoleSink) -> Result<BootRun, Error> {
    let directory = tempfile::tempdir().unwrap();
    let qemu = directory.path().join("qemu-system-script");
    fs::write(&qemu, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let toolchain = Toolchain {
        cargo: "cargo".into(),
        rustc: None,
        release: "1.90.0".into(),
        sysroot: "/".into(),
        standard_library: StandardLibrary::Installed,
    };
    let host = Host { qemu, toolchain, linker: Linker::Bundled };
    let image = BuiltImage {
        elf: "kernel".into(),
        flat: "kernel.Image".into(),
        firmware: None,
        initrd: None,
        guest: None,
        loader: None,
        guest_loader: None,
    };
    let options = BootOptions { timeout: Some(Duration::from_secs(5)), ..BootOptions::default() };
    boot::run(&host, &image, &options, sink)
}

fn run(script: &str) -> BootRun {
    run_with(script, &mut Silent).unwrap()
}

#[test]
fn a_machine_whose_cpus_all_come_up() {
    let run = run(&format!("{BEGIN}{CPU_0}{}", done(1, 1)));
    assert_eq!(run.verdict, Verdict::AllOnline);
    assert_eq!(run.console.text(), "booting\n");
    assert_eq!(run.report.unwrap().end, End::Done);
    assert!(run.command_line.contains("-smp 4"), "{}", run.command_line);
}

#[test]
fn a_dead_cpu_is_named() {
    let run = run(&format!("{BEGIN}{CPU_0}{CPU_1_DEAD}{}exit 1\n", done(2, 1)));
    assert_eq!(run.verdict, Verdict::NotAllOnline(vec!["CPU 1 (0x1) timed out: no answer".into()]));
    assert_eq!(ExitStatus::from(&run.verdict), ExitStatus::NotAllOnline);
}

#[test]
fn a_panic_keeps_the_console_and_what_was_reported() {
    let run = run(&format!("{BEGIN}{CPU_0}echo 'panicked at nothing'\nexit 101\n"));
    assert_eq!(ExitStatus::from(&run.verdict), ExitStatus::MachineDied);
    assert_eq!(run.console.last(1).collect::<Vec<_>>(), ["panicked at nothing"]);
    assert_eq!(run.report.unwrap().end, End::Died);
}

#[test]
fn a_machine_that_switches_off_before_it_is_done_has_died() {
    let run = run(&format!("{BEGIN}{CPU_0}"));
    assert_eq!(ExitStatus::from(&run.verdict), ExitStatus::MachineDied);
}

#[test]
fn a_machine_that_hangs_is_ended() {
    let run = run(&format!("{BEGIN}{CPU_0}{}exec sleep 60\n", done(1, 1)));
    assert_eq!(run.verdict, Verdict::TimedOut(Duration::from_secs(5)));
    assert_eq!(run.report.unwrap().end, End::TimedOut);
    assert!(run.duration < Duration::from_secs(30));
}

#[test]
fn an_image_that_speaks_another_version_is_not_believed() {
    let begin = BEGIN.replace("\"schema\":1", "\"schema\":2");
    let run = run(&format!("{begin}{CPU_0}{}", done(1, 1)));
    assert!(matches!(run.verdict, Verdict::Died(why) if why.contains("version 2")));
}

#[test]
fn a_qemu_that_does_not_take_its_arguments_is_wrong_use() {
    let script = "echo \"qemu-system-script: unable to find CPU model 'x'\" >&2; exit 1";
    let error = run_with(script, &mut Silent).unwrap_err();
    assert_eq!(error.to_string(), "QEMU refused to start: unable to find CPU model 'x'");
    assert_eq!(ExitStatus::from(&error), ExitStatus::WrongUse);
}

#[test]
fn text_and_records_reach_the_sink_as_they_come() {
    #[derive(Default)]
    struct Recorder(Vec<String>);
    impl ConsoleSink for Recorder {
        fn text(&mut self, line: &str) {
            self.0.push(line.to_owned());
        }
        fn record(&mut self, record: &reveille_trace_format::Record<String>) {
            self.0.push(serde_json::to_string(record).unwrap()[2..6].to_owned());
        }
    }
    let mut recorder = Recorder::default();
    run_with(&format!("{BEGIN}{}", done(1, 1)), &mut recorder).unwrap();
    assert_eq!(recorder.0, ["boot", "booting", "done"]);
}
