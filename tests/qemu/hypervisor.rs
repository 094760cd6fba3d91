//! The hypervisor: its own way up, and systems as they are that run as its guests with several vCPUs.

use std::collections::BTreeSet;
use std::time::Duration;

use reveille_cli::boot::{BootOptions, ImageFormat};
use reveille_cli::foreign::text::Said;
use reveille_cli::guests::Guest0;
use reveille_cli::hand_over::HandOver;
use reveille_cli::image::{self, BuiltImage};
use reveille_cli::qemu::ONE_THREAD;
use reveille_cli::report::{End, Report};
use reveille_cli::stack::Stack;
use reveille_cli::verdict::Verdict;
use reveille_system_tests::payload::{CHUNK, Payload};
use reveille_system_tests::{Booted, PATIENCE, Stand, path};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("hypervisor_takes_the_path_of_xen", path_of_xen),
    ("hypervisor_runs_the_kernel_with_as_many_vcpus_as_there_are_cpus", kernel),
    ("hypervisor_runs_debians_linux_with_4_vcpus_that_switches_off", |stand| linux(stand, 4, 4, "").map(drop)),
    ("hypervisor_rows_1_to_35_hold_for_a_guest", rows),
    ("hypervisor_refuses_a_processor_without_vhe_in_a_sentence", without_vhe),
    ("hypervisor_ends_with_failure_when_its_guest_resets", resets),
    ("hypervisor_gives_guest_0_the_vcpus_and_the_memory_that_are_asked_for", small_guest_0),
    ("hypervisor_runs_the_loader_as_a_guest_with_the_kernel_behind_it", loader_as_guest),
    ("hypervisor_guest_loader_refuses_a_ramdisk_that_was_tampered_with", tampered_ramdisk),
    ("hypervisor_comes_up_on_a_machine_without_psci", without_psci),
    ("hypervisor_rows_40_to_43_its_cpus_come_out_of_a_loaders_pen", from_the_pen),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("hypervisor_row_26_linux_takes_4_vcpus_off_and_on_ten_times", |stand| off_and_on(stand, 4)),
    ("hypervisor_runs_two_guests_that_take_vcpus_off_and_on_ten_times", two_guests),
    ("hypervisor_row_27_vcpus_of_the_kernel_come_and_go_in_hundreds", soak),
    ("hypervisor_tells_of_a_guest_that_hangs", hangs),
    ("hypervisor_run_ends_when_its_guest_is_ready", ready),
    ("hypervisor_chain_of_firmware_hypervisor_and_linux", |stand| {
        chain(stand, &["firmware", "hypervisor"], None).map(drop)
    }),
    ("hypervisor_runs_the_loader_as_a_guest_with_linux_behind_it", linux_behind_guest_loader),
    ("hypervisor_chain_of_loader_hypervisor_and_linux", |stand| both_ways(stand, &["loader", "hypervisor"])),
    ("hypervisor_chain_of_firmware_loader_hypervisor_and_linux", |stand| {
        both_ways(stand, &["firmware", "loader", "hypervisor"])
    }),
];

/// What Linux says of the machine's clock, which guest 0 has.
const CLOCK: &str = "rtc-pl031 9010000.pl031: setting system clock to";
/// How often vCPUs are taken off and on.
const CYCLES: usize = 10;
/// On a busy host Linux takes a second to take a CPU down.
const LONG: Duration = Duration::from_secs(480);

fn options(stack: &str, cpus: u32, guest_words: &str) -> BootOptions {
    let Ok(stack) = stack.parse::<Stack>();
    let append = (!guest_words.is_empty()).then(|| format!("-- {guest_words}"));
    BootOptions { stack, cpus, append, deadline: Some(PATIENCE), ..BootOptions::default() }
}

/// All CPUs of the machine are the hypervisor's, and Xen's names are passed in their order.
fn path_of_xen(stand: &Stand) -> Result<(), String> {
    let guests = vec!["kernel:memory=64M".parse()?];
    let booted = stand.boot(&BootOptions { guests, ..options("hypervisor,kernel", 4, "") })?;
    let report = booted.report()?;
    let hypervisor = report.stage("hypervisor").ok_or_else(|| booted.complaint("the hypervisor should report"))?;
    booted.expect(hypervisor.online_count == 4 && hypervisor.entry_level == Some(2), "it runs on 4 CPUs at EL2")?;
    let deviations = path::deviations("xen")?;
    let paths = path::read("xen")?;
    booted.expect(paths.len() == 2, "there is a path of the boot CPU, and one of the others")?;
    let complaints: Vec<String> =
        paths.iter().flat_map(|path| path::complaints(path, &deviations, hypervisor)).collect();
    booted.expect(complaints.is_empty(), &complaints.join("\n"))
}

/// Our own kernel brings its vCPUs up through the hypervisor, and proves them.
fn kernel(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&options("hypervisor,kernel", 4, ""))?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all vCPUs should be online")?;
    let report = booted.report()?;
    let stages: Vec<&str> = report.stages.iter().map(|stage| stage.image.as_str()).collect();
    booted.expect(stages == ["hypervisor", "kernel"], "each stage should have a report")?;
    booted.expect(report.image == "kernel" && report.entry_level == Some(1), "the kernel runs at EL1")?;
    booted.expect(report.online_count == 4 && report.passed, "4 vCPUs come up and pass the kernel's proofs")?;
    booted.expect(report.calls.iter().filter(|call| call.function == "CPU_ON").count() == 3, "its calls are known")?;
    // The hypervisor tells these by the machine's counter, the kernel has one with an offset.
    let [entered, called] = [report.entries[0].ns, report.calls[0].ns];
    let begins_between = report.counter_ns.is_some_and(|begin| (entered..called).contains(&begin));
    booted.expect(begins_between, "its time is that of the machine")?;
    let lane = &report.with_calls().cpus[1].events;
    booted.expect(lane.iter().any(|event| event.name == "entered at EL1"), "its vCPUs' lanes have their entries")
}

fn soak(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { timeout: Some(LONG), ..options("hypervisor,kernel", 4, "reveille.soak=500") };
    let booted = stand.boot(&options)?;
    let report = booted.report()?;
    let proven = report.proofs.iter().find(|proof| proof.name == "soak").is_some_and(|proof| proof.passed);
    booted.expect(proven && booted.0.verdict == Verdict::AllOnline, "vCPUs should come and go without loss")
}

/// Linux comes to user space with all its vCPUs, and its end is that of the run.
fn linux(stand: &Stand, cpus: u32, vcpus: u32, words: &str) -> Result<Booted, String> {
    let booted = stand.boot(&BootOptions { timeout: Some(LONG), ..options("hypervisor,linux", cpus, words) })?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
    let said = Said::new(booted.0.console.lines());
    booted.expect(said.count == Some(vcpus), "Linux should count its vCPUs")?;
    let all: BTreeSet<u32> = (0..vcpus).collect();
    booted.expect(said.online.first() == Some(&all), "user space should see all vCPUs")?;
    says(&booted, CLOCK)?;
    says(&booted, "Guest 0 (guest0) switched itself off")?;
    has_stage(&booted, 0, vcpus)?;
    Ok(booted)
}

/// The guest is a stage of the report, with each vCPU asked for by another, and let go.
fn has_stage(booted: &Booted, guest: u32, vcpus: u32) -> Result<(), String> {
    let mut stages = booted.report()?.stages.iter();
    let number = |stage: &Report| stage.guest.as_ref().map(|guest| guest.number);
    let stage = stages.find(|stage| number(stage) == Some(guest)).ok_or("the guest should be a stage of the report")?;
    booted.expect(stage.image == "linux" && stage.online_count == vcpus, "its vCPUs should be online")?;
    booted.expect(stage.lost_calls == 0 && stage.end == End::Done && stage.passed, "its report should be whole")?;
    let asked =
        |vcpu| stage.calls.iter().any(|call| call.target == Some(vcpu) && call.code_name.as_deref() == Some("SUCCESS"));
    booted.expect((1..vcpus).all(asked), "the report should have the calls that started vCPUs")?;
    let began = |vcpu| stage.entries.iter().any(|entry| entry.cpu == vcpu && entry.level == 1);
    booted.expect((0..vcpus).all(began), "the report should have each vCPU's entry")?;
    let off = stage.calls.iter().any(|call| call.function == "SYSTEM_OFF");
    let ended = stage.guest.as_ref().and_then(|guest| guest.ended.as_deref());
    booted.expect(off && ended == Some("switched itself off"), "the report should have the guest's end")
}

fn says(booted: &Booted, line: &str) -> Result<(), String> {
    let said = booted.0.console.lines().any(|said| said.contains(line));
    booted.expect(said, &format!("the console should say: {line}"))
}

fn off_and_on(stand: &Stand, cpus: u32) -> Result<(), String> {
    let booted = linux(stand, cpus, cpus, &format!("reveille.cycles={CYCLES}"))?;
    let said = Said::new(booted.0.console.lines());
    let alone = said.online.iter().filter(|online| online.len() == 1).count();
    booted.expect(alone == CYCLES, &format!("one vCPU should have been alone {CYCLES} times, not {alone} times"))?;
    let all: BTreeSet<u32> = (0..cpus).collect();
    booted.expect(said.online.last() == Some(&all), "all vCPUs are there in the end")?;
    let refused = booted.0.console.lines().find(|line| line.contains(" refuses "));
    booted.expect(refused.is_none(), &format!("no vCPU should refuse: {refused:?}"))
}

/// Two Linux at once, with more vCPUs than the machine has CPUs. Their lines say whose they are.
fn two_guests(stand: &Stand) -> Result<(), String> {
    let words = format!("reveille.cycles={CYCLES}");
    let guests = vec![format!("linux:vcpus=2,memory=256M,append={words}").parse()?];
    // The run ends with guest 0, which waits for the other.
    let words = format!("{words} reveille.stay=20");
    let options = BootOptions { guests, timeout: Some(LONG), ..options("hypervisor,linux", 4, &words) };
    let booted = stand.boot(&options)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
    says(&booted, "Guest 1 (guest1) switched itself off")?;
    has_stage(&booted, 0, 4)?;
    has_stage(&booted, 1, 2)?;
    let of = |guest: &'static str, what: &'static str| {
        booted.0.console.lines().filter(move |line| line.starts_with(guest) && line.contains(what)).count()
    };
    booted.expect(of("(d0) ", "reveille: online 0-3") > 0, "guest 0 should see 4 vCPUs")?;
    booted.expect(of("(d1) ", "reveille: online 0-1") > 0, "guest 1 should see 2 vCPUs")?;
    let clocks = [of("(d0) ", CLOCK), of("(d1) ", CLOCK)];
    booted.expect(clocks == [1, 0], &format!("guest 0 alone should have the machine's clock: {clocks:?}"))?;
    for guest in ["(d0) ", "(d1) "] {
        let (done, refused) = (of(guest, "reveille: cycle "), of(guest, " refuses online="));
        booted.expect(done == CYCLES, &format!("{done} of {CYCLES} cycles were done by {guest}"))?;
        booted.expect(refused == 0, &format!("no vCPU of {guest}should refuse"))?;
    }
    Ok(())
}

/// The hypervisor's CPUs come from firmware, and then from the loader's pen.
fn both_ways(stand: &Stand, below: &[&str]) -> Result<(), String> {
    for (manner, start) in [(HandOver::Off, "call_psci_cpu_on"), (HandOver::SpinTable, "smp_spin_table_cpu_up")] {
        let booted = chain(stand, below, Some(manner))?;
        says(&booted, &format!("(3 CPUs {manner})"))?;
        came_by(&booted, start)?;
    }
    Ok(())
}

/// The hypervisor starts each of its CPUs by the method that it was told.
fn came_by(booted: &Booted, start: &str) -> Result<(), String> {
    let hypervisor = booted.report()?.stage("hypervisor").ok_or_else(|| booted.complaint("no hypervisor"))?;
    let events = hypervisor.cpus[0].events.iter();
    let started = events.filter(|event| event.name == start && event.target.is_some()).count();
    booted.expect(started == 3, &format!("it should start 3 CPUs by {start}, not {started}"))
}

/// A guest's boot loader has all vCPUs on, and hands them over both ways.
fn loader_as_guest(stand: &Stand) -> Result<(), String> {
    for manner in [HandOver::Off, HandOver::SpinTable] {
        let options = BootOptions { hand_over: Some(manner), ..options("hypervisor,loader,kernel", 4, "") };
        let booted = stand.boot(&options)?;
        booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
        says(&booted, "by 4 CPUs in")?;
        says(&booted, &format!("(3 CPUs {manner})"))?;
        every_stage(&booted, &["hypervisor", "loader", "kernel"])?;
    }
    Ok(())
}

/// A guest's loader checks its ramdisk on all vCPUs, and the run of a guest that refuses is no success.
fn tampered_ramdisk(stand: &Stand) -> Result<(), String> {
    let payload = Payload::new(&stand.image().flat, "")?;
    let initrd = payload.archive(|parts| parts[0].1[2 * CHUNK] ^= 1)?;
    let hypervisor = image::build(stand.host(), &image::HYPERVISOR, &[]).map_err(|error| error.to_string())?;
    let image = BuiltImage { guest: Some(stand.loader()?.flat.clone()), initrd: Some(initrd), ..hypervisor };
    let booted = stand.boot_image(&image, &options("hypervisor,kernel", 4, ""))?;
    says(&booted, "Refused: kernel: chunk 2 has another digest")?;
    let report = booted.report()?;
    booted.expect(report.image == "loader" && report.online_count == 4, "the loader should have all vCPUs")?;
    booted.expect(matches!(booted.0.verdict, Verdict::NotAllOnline(_)), "that is no success")
}

fn linux_behind_guest_loader(stand: &Stand) -> Result<(), String> {
    for manner in [HandOver::Off, HandOver::SpinTable] {
        let words = options("hypervisor,loader,linux", 4, "");
        let booted = stand.boot(&BootOptions { hand_over: Some(manner), timeout: Some(LONG), ..words })?;
        booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
        says(&booted, &format!("(3 CPUs {manner})"))?;
        let said = Said::new(booted.0.console.lines());
        booted.expect(said.count == Some(4), "Linux should count 4 vCPUs")?;
    }
    Ok(())
}

/// All CPUs enter the loader at EL3, and nobody answers calls: the pen is the only way, and semihosting the only end.
fn without_psci(stand: &Stand) -> Result<(), String> {
    let hypervisor = image::build(stand.host(), &image::HYPERVISOR, &[]).map_err(|error| error.to_string())?;
    let payload = Payload::new(&hypervisor.flat, "reveille.exit=semihosting reveille.timeout_ms=10000")?;
    let payload = payload.with_part("module", &stand.image().flat, "")?;
    let mut qemu_arguments = payload.arguments(|_| ())?;
    qemu_arguments.extend(["-machine", "secure=on", "-m", "1G"].into_iter().chain(ONE_THREAD).map(str::to_owned));
    let options = BootOptions {
        entry_level: Some(2),
        cpu_model: Some("cortex-a76".into()),
        format: Some(ImageFormat::Elf),
        qemu_arguments,
        ..BootOptions::default()
    };
    let booted = stand.boot_image(stand.loader()?, &options)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
    says(&booted, "entered at EL3")?;
    came_by(&booted, "smp_spin_table_cpu_up")?;
    every_stage(&booted, &["loader", "hypervisor", "kernel"])
}

/// Each of our stages is there, with 4 CPUs online.
fn every_stage(booted: &Booted, names: &[&str]) -> Result<(), String> {
    let report = booted.report()?;
    let stages: Vec<(&str, u32)> =
        report.stages.iter().map(|stage| (stage.image.as_str(), stage.online_count)).collect();
    let expected: Vec<(&str, u32)> = names.iter().map(|name| (*name, 4)).collect();
    booted.expect(stages == expected, &format!("every stage should come up: {stages:?}"))
}

/// The kernel as guest 0, behind a loader that leaves the hypervisor's CPUs in its pen.
fn from_the_pen(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { hand_over: Some(HandOver::SpinTable), ..options("loader,hypervisor,kernel", 4, "") };
    let booted = stand.boot(&options)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
    came_by(&booted, "smp_spin_table_cpu_up")?;
    every_stage(&booted, &["loader", "hypervisor", "kernel"])
}

/// Every stage with all CPUs.
fn chain(stand: &Stand, below: &[&str], hand_over: Option<HandOver>) -> Result<Booted, String> {
    let stack = format!("{},linux", below.join(","));
    let booted = stand.boot(&BootOptions { timeout: Some(LONG), hand_over, ..options(&stack, 4, "") })?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
    every_stage(&booted, &[below, &["linux"]].concat())?;
    let said = Said::new(booted.0.console.lines());
    booted.expect(said.count == Some(4), "Linux should count 4 vCPUs")?;
    Ok(booted)
}

/// What a guest can see of the conformance checklist.
fn rows(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot_image(&stand.psci_rows_as_guest()?, &options("hypervisor,kernel", 4, ""))?;
    let proofs = &booted.report()?.proofs;
    let failed: Vec<_> = proofs.iter().filter(|proof| !proof.passed).collect();
    booted.expect(proofs.len() == 26 && failed.is_empty(), &format!("every row should hold: {failed:#?}"))?;
    says(&booted, "Guest 0 (guest0) switched itself off")
}

fn without_vhe(stand: &Stand) -> Result<(), String> {
    // The command would refuse such a processor, were it told of it.
    let qemu_arguments = ["-cpu", "cortex-a57"].map(str::to_owned).to_vec();
    let booted = stand.boot(&BootOptions { qemu_arguments, ..options("hypervisor,kernel", 2, "") })?;
    let Verdict::Died(reason) = &booted.0.verdict else { return Err(booted.complaint("the run should not go well")) };
    booted.expect(reason.contains("has no Virtualization Host Extensions"), "the reason should be the image's own")
}

/// A Linux without a root file system panics, and resets.
fn resets(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&options("hypervisor,linux", 2, "quiet rdinit=/nothing"))?;
    booted.expect(matches!(booted.0.verdict, Verdict::Died(_)), "a guest that panics is no success")?;
    says(&booted, "Guest 0 (guest0) reset itself")
}

/// A Linux whose first program only waits.
fn hangs(stand: &Stand) -> Result<(), String> {
    let timeout = Some(Duration::from_secs(120));
    let booted = stand.boot(&BootOptions { timeout, ..options("hypervisor,linux", 2, "reveille.stay=100000") })?;
    booted.expect(matches!(booted.0.verdict, Verdict::TimedOut(_)), "the run should be ended")?;
    let report = booted.report()?;
    booted.expect(report.image == "linux" && report.end == End::TimedOut, "the guest is a stage that did not end")?;
    booted.expect(report.online_count == 2 && report.entries.len() == 2, "what it did until then should be known")
}

/// Written by the command, and by a boot loader that is told.
fn small_guest_0(stand: &Stand) -> Result<(), String> {
    for stack in ["hypervisor,kernel", "loader,hypervisor,kernel"] {
        let guest_0 = Guest0 { vcpus: Some(2), memory: Some(128) };
        let booted = stand.boot(&BootOptions { guest_0, ..options(stack, 4, "") })?;
        booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online, and the run end well")?;
        says(&booted, "Guest 0 (guest0): 2 vCPUs, 128 MiB")?;
        booted.expect(booted.report()?.online_count == 2, "the kernel should have 2 vCPUs")?;
    }
    Ok(())
}

/// Linux is up when it says so, and need not switch anything off.
fn ready(stand: &Stand) -> Result<(), String> {
    let ready = Some("Run /init".parse()?);
    let booted = stand.boot(&BootOptions { ready, timeout: Some(LONG), ..options("hypervisor,linux", 2, "") })?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online")?;
    let report = booted.report()?;
    booted.expect(report.image == "linux" && report.online_count == 2, "what it did until then should be known")
}
