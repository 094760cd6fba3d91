//! The boot loader: it checks what it starts on all CPUs, and hands them over in a way that the next stage can take.

use reveille_cli::boot::{BootOptions, ImageFormat};
use reveille_cli::hand_over::HandOver;
use reveille_cli::image::BuiltImage;
use reveille_cli::payload_place::PayloadPlace;
use reveille_cli::qemu::ONE_THREAD;
use reveille_cli::report::{Outcome, Report};
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;
use reveille_cli::{fetch, report::End, timeline};
use reveille_system_tests::payload::{self, CHUNK, Payload};
use reveille_system_tests::pens;
use reveille_system_tests::{Booted, Stand, cpus, path};

use crate::{Test, spin_table};

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("loader_off_4_cpus", |stand| hands_over(stand, cpus(4), "off")),
    ("loader_off_8_cpus", |stand| hands_over(stand, cpus(8), "off")),
    ("loader_spin_table_4_cpus", |stand| hands_over(stand, cpus(4), "spin-table")),
    ("loader_spin_table_8_cpus", |stand| hands_over(stand, cpus(8), "spin-table")),
    ("loader_row_38_leaves_at_el2_what_entered_there_and_runs_at_el1", |stand| {
        hands_over(stand, at_el2(cpus(4)), "off")?;
        hands_over(stand, at_el2(cpus(4)), "spin-table")
    }),
    ("loader_row_38_leaves_at_el2_what_runs_there", |stand| {
        let options = || at_el2(BootOptions { cpu_model: Some("max".into()), ..cpus(4) });
        hands_over(stand, options(), "off")?;
        hands_over(stand, options(), "spin-table")
    }),
    ("loader_4_cpus_that_enter_at_once_at_el3", |stand| enter_at_once(stand, cpus(4), 1)),
    ("loader_8_cpus_that_enter_at_once_at_el3", |stand| enter_at_once(stand, at_el2(cpus(8)), 2)),
    ("loader_cpus_that_wait_in_pens", from_pens),
    ("loader_rows_41_and_46_the_pen_is_reserved_and_all_else_is_not", reserves),
    ("loader_takes_the_path_of_lk", takes_path),
    ("loader_and_kernel_are_stages_of_one_report_and_one_timeline", stages),
    ("loader_on_firmware_of_ours", on_firmware),
    ("loader_refuses_what_was_tampered_with_and_names_the_chunk", tampered),
    ("loader_refuses_what_has_no_digests", without_digests),
    ("loader_finds_its_payload_in_memory", in_memory),
    ("loader_stack_with_the_payload_in_memory", in_memory_stack),
    ("loader_refuses_a_payload_in_memory_that_is_not_what_it_should_be", bad_in_memory),
    ("loader_moves_an_elf_file_that_is_linked_where_it_lies", elf),
    ("loader_loads_an_elf_file_where_it_is_linked", linked_elf),
    ("loader_stack_takes_the_elf_file_of_the_kernel", elf_stack),
    ("loader_refuses_an_elf_file_that_was_tampered_with_and_names_the_chunk", tampered_elf),
    ("loader_refuses_an_elf_file_that_cannot_be_loaded", bad_elf),
    ("loader_row_46_names_a_cpu_that_is_denied_or_silent", stays),
    ("loader_goes_on_without_a_cpu_on_request", goes_on_without),
    ("loader_row_12_the_kernel_names_a_cpu_that_is_on_already", already_on),
];

/// Those with foreign software.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("loader_linux_4_cpus", |stand| linux(stand, 4)),
    ("loader_linux_8_cpus", |stand| linux(stand, 8)),
    ("loader_xen_with_dom0", xen),
    ("loader_and_linux_are_stages_of_one_report", |stand| foreign_stages(stand, System::Linux(None), "linux")),
    ("loader_and_xen_are_stages_of_one_report", |stand| foreign_stages(stand, System::Xen(None), "xen")),
    ("loader_and_an_unknown_image_are_stages_of_one_report", unknown_stages),
];

const QUIET: &str = "reveille.exit=semihosting reveille.timeout_ms=10000";

fn at_el2(options: BootOptions) -> BootOptions {
    BootOptions { entry_level: Some(2), ..options }
}

fn kernel(stand: &Stand) -> Result<Payload, String> {
    Payload::new(&stand.image().flat, QUIET)
}

/// Boots `loader` with what it is to start, and with its own options.
fn boot(
    stand: &Stand,
    loader: &BuiltImage,
    payload: &Payload,
    mut options: BootOptions,
    own: &str,
) -> Result<Booted, String> {
    options.append = Some(own.into());
    options.qemu_arguments.extend(payload.arguments(|_| ())?);
    stand.boot_image(loader, &options)
}

fn says(booted: &Booted, text: &str) -> Result<(), String> {
    booted.expect(booted.0.console.text().contains(text), &format!("it should say: {text}"))
}

/// All CPUs check, leave, and come up in the kernel, at the level at which they entered.
fn hands_over(stand: &Stand, options: BootOptions, manner: &str) -> Result<(), String> {
    let (count, level) = (options.cpus, options.entry_level.unwrap_or(1));
    let booted = boot(stand, stand.loader()?, &kernel(stand)?, options, &format!("loader.handover={manner}"))?;
    handed_over(&booted, count, level, manner)
}

fn handed_over(booted: &Booted, count: u32, level: u8, manner: &str) -> Result<(), String> {
    let report = booted.expect_all_online(count)?;
    booted
        .expect(report.image == "kernel" && report.entry_level == Some(level), "the kernel is entered at this level")?;
    says(booted, &format!("by {count} CPUs in"))?;
    says(booted, &format!("({} CPUs {manner})", count - 1))?;
    let method = if manner == "off" { "cpu_psci_cpu_boot" } else { "smp_spin_table_cpu_boot" };
    let started = report.cpus[0].events.iter().filter(|event| event.name == method && event.target.is_some()).count();
    booted.expect(started == count as usize - 1, "the kernel starts each by the method that it was told")
}

/// Without firmware: all CPUs enter the ELF file at EL3, and there is nothing but pens for the kernel.
fn enter_at_once(stand: &Stand, mut options: BootOptions, level: u8) -> Result<(), String> {
    let count = options.cpus;
    options.format = Some(ImageFormat::Elf);
    options.qemu_arguments.extend(["-machine", "secure=on"].into_iter().chain(ONE_THREAD).map(str::to_owned));
    let booted = boot(stand, stand.loader()?, &kernel(stand)?, options, "")?;
    says(&booted, "entered at EL3")?;
    handed_over(&booted, count, level, "spin-table")
}

/// CPUs that another loader has put into pens come to this one, and go into its own.
fn from_pens(stand: &Stand) -> Result<(), String> {
    let arguments = kernel(stand)?;
    let words = [1, 2, 3].map(|number| Some(pens::word(number)));
    let booted = spin_table::boot_other(
        stand,
        stand.loader()?,
        words,
        "loader.handover=spin-table",
        arguments.arguments(|_| ())?,
    )?;
    handed_over(&booted, 4, 1, "spin-table")
}

/// The pen with all words is what the next stage is told to leave alone; with a CPU that is still in the loader, all of the loader too.
fn reserves(stand: &Stand) -> Result<(), String> {
    let left_alone = |booted: &Booted| {
        let lines = booted.0.console.lines().filter(|line| line.starts_with("The payload leaves"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let own = |own: &str| boot(stand, stand.faulty_loader()?, &kernel(stand)?, cpus(4), own);
    let booted = own("loader.handover=spin-table")?;
    let lines = left_alone(&booted);
    booted.expect(lines.len() == 1 && lines[0].ends_with("alone, with the words of 4 CPUs"), &format!("{lines:?}"))?;
    let booted = own("loader.handover=off")?;
    booted.expect(left_alone(&booted).is_empty(), "nothing is left that is somebody's")?;
    let booted = own("loader.leave_ms=500 loader.without=1 loader.silent=2 loader.handover=spin-table")?;
    let lines = left_alone(&booted);
    let both = lines.len() == 2 && lines[0].ends_with("of 3 CPUs") && lines[1].ends_with("of 0 CPUs");
    booted.expect(both, &format!("the pen, and the loader's own memory: {lines:?}"))
}

/// The report of the loader, which starts nothing.
fn refused<'a>(booted: &'a Booted, reason: &str) -> Result<&'a Report, String> {
    let report = booted.report()?;
    booted.expect(report.image == "loader" && report.end == End::Done && !report.passed, "the loader refuses")?;
    booted.expect(matches!(booted.0.verdict, Verdict::NotAllOnline(_)), "that is no success")?;
    says(booted, reason)?;
    Ok(report)
}

fn changed(stand: &Stand, change: impl FnOnce(&mut [(String, Vec<u8>)])) -> Result<Booted, String> {
    let payload = kernel(stand)?;
    let options = BootOptions { qemu_arguments: payload.arguments(change)?, ..cpus(4) };
    stand.boot_image(stand.loader()?, &options)
}

fn takes_path(stand: &Stand) -> Result<(), String> {
    let paths = path::read("lk")?;
    let deviations = path::deviations("lk")?;
    let booted = changed(stand, |parts| parts[0].1[0] ^= 1)?;
    let report = refused(&booted, "kernel")?;
    let all = report.cpus.iter().filter(|cpu| cpu.outcome == Outcome::Online).count();
    booted.expect(all == 4, "all CPUs are up by then")?;
    let complaints: Vec<String> = paths.iter().flat_map(|path| path::complaints(path, &deviations, report)).collect();
    booted.expect(complaints.is_empty() && paths.len() == 2, &complaints.join("\n"))
}

/// The command's own way: a stack, whose report has both stages, on one clock.
fn stages(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { stack: Stack::loader(System::Kernel), hand_over: Some(HandOver::SpinTable), ..cpus(4) };
    let booted = stand.boot(&options)?;
    handed_over(&booted, 4, 1, "spin-table")?;
    let report = booted.report()?;
    let names: Vec<&str> = report.stages.iter().map(|stage| stage.image.as_str()).collect();
    booted.expect(names == ["loader", "kernel"], &format!("both stages are there: {names:?}"))?;
    let [loader, kernel] = [0, 1].map(|stage| report.stages[stage].counter_ns);
    booted.expect(loader.is_some() && loader < kernel, "the loader's time begins before the kernel's")?;
    let picture = timeline::draw(report);
    let missing = ["lk_main", "check_chunks", "start_kernel"].into_iter().find(|name| !picture.contains(name));
    booted.expect(missing.is_none(), &format!("the timeline should have {missing:?}"))
}

/// Firmware starts the loader's CPUs, switches them off, and starts them for the kernel.
fn on_firmware(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&BootOptions { stack: "firmware,loader,kernel".parse().unwrap_or_default(), ..cpus(4) })?;
    handed_over(&booted, 4, 1, "off")?;
    let report = booted.report()?;
    let names: Vec<&str> = report.stages.iter().map(|stage| stage.image.as_str()).collect();
    booted.expect(names == ["firmware", "loader", "kernel"], &format!("all stages are there: {names:?}"))?;
    let calls = |name: &str| report.stages[0].calls.iter().filter(|call| call.function == name).count();
    booted.expect((calls("CPU_ON"), calls("CPU_OFF")) == (6, 3), "each CPU is started twice, and goes once")
}

/// The same with a last stage that is not ours: what its CPUs came to is read off its console.
fn foreign_stages(stand: &Stand, system: System, name: &str) -> Result<(), String> {
    for manner in [HandOver::Off, HandOver::SpinTable] {
        let timeout = Some(std::time::Duration::from_secs(240));
        let stack = Stack::loader(system.clone());
        let options = BootOptions { stack, hand_over: Some(manner), timeout, ..BootOptions::default() };
        let booted = stand.boot(&options)?;
        booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online")?;
        says(&booted, &format!("(3 CPUs {manner})"))?;
        two_stages(&booted, name)?;
    }
    Ok(())
}

fn two_stages(booted: &Booted, name: &str) -> Result<(), String> {
    let report = booted.report()?;
    booted.expect(report.online_count == 4 && report.asked_count == 4, "all CPUs are counted")?;
    let names: Vec<&str> = report.stages.iter().map(|stage| stage.image.as_str()).collect();
    booted.expect(names == ["loader", name], &format!("both stages are there: {names:?}"))?;
    booted.expect(timeline::draw(report).contains("check_chunks"), "the timeline shows what the loader did")
}

/// An image of which nothing is known is up when it prints what it was said to print.
fn unknown_stages(stand: &Stand) -> Result<(), String> {
    let image = debian_linux()?;
    let name = image.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let options = BootOptions {
        stack: Stack::loader(System::Image(image)),
        append: Some("console=ttyAMA0".into()),
        ready: "Brought up 1 node, 4 CPUs".parse().ok(),
        ..BootOptions::default()
    };
    let booted = stand.boot(&options)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online")?;
    two_stages(&booted, &name)
}

fn tampered(stand: &Stand) -> Result<(), String> {
    let booted = changed(stand, |parts| parts[0].1[2 * CHUNK + 17] ^= 0x20)?;
    refused(&booted, "Refused: kernel: chunk 2 has another digest")?;
    let booted = changed(stand, |parts| parts[0].1.truncate(3 * CHUNK))?;
    refused(&booted, "Refused: kernel: it has 196608 bytes").map(|_| ())
}

fn without_digests(stand: &Stand) -> Result<(), String> {
    let mut arguments = kernel(stand)?.arguments(|_| ())?;
    let digests = arguments.iter().position(|argument| argument.contains("/digests,")).unwrap_or(0);
    arguments.drain(digests - 1..=digests);
    let kernel = arguments.iter_mut().find(|argument| argument.contains("/kernel,")).ok_or("a kernel")?;
    *kernel = format!("name=opt/reveille/kernel,file={}", stand.image().flat.display());
    arguments.retain(|argument| argument == "-fw_cfg" || argument.contains("/kernel,"));
    arguments.truncate(2);
    let booted = stand.boot_image(stand.loader()?, &BootOptions { qemu_arguments: arguments, ..cpus(2) })?;
    refused(&booted, "Refused: the payload has no digests").map(|_| ())
}

/// Plain QEMU: a loader, and an archive as its initrd.
fn in_memory(stand: &Stand) -> Result<(), String> {
    for (kernel, manner) in [(&stand.image().flat, "off"), (&stand.image().elf, "spin-table")] {
        let payload = Payload::new(kernel, QUIET)?;
        let append = Some(format!("loader.handover={manner}"));
        let options = BootOptions { append, qemu_arguments: payload.in_memory(|_| ())?, ..cpus(4) };
        handed_over(&stand.boot_image(stand.loader()?, &options)?, 4, 1, manner)?;
    }
    Ok(())
}

/// The command's own way, behind QEMU and behind firmware, which hands the archive on.
fn in_memory_stack(stand: &Stand) -> Result<(), String> {
    for stack in ["loader,kernel", "firmware,loader,kernel"] {
        let stack = stack.parse().unwrap_or_default();
        let booted = stand.boot(&BootOptions { stack, payload: Some(PayloadPlace::Memory), ..cpus(4) })?;
        handed_over(&booted, 4, 1, "off")?;
        booted.expect(!booted.0.command_line.contains("opt/reveille/kernel"), "nothing should be in fw_cfg")?;
    }
    Ok(())
}

fn bad_in_memory(stand: &Stand) -> Result<(), String> {
    let boot =
        |qemu_arguments: Vec<String>| stand.boot_image(stand.loader()?, &BootOptions { qemu_arguments, ..cpus(4) });
    let payload = kernel(stand)?;
    let booted = boot(payload.in_memory(|parts| parts[0].1[CHUNK] ^= 1)?)?;
    refused(&booted, "Refused: kernel: chunk 1 has another digest")?;
    let booted = boot(payload.in_memory(|parts| parts[0].0 = "kernal".into())?)?;
    refused(&booted, "Refused: the loader's initrd has no file kernel")?;
    let no_archive = stand.image().elf.display().to_string();
    let booted = boot(vec!["-initrd".into(), no_archive])?;
    refused(&booted, "Refused: the loader's initrd: it is no cpio archive of the form newc")?;
    let booted = boot(Vec::new())?;
    refused(&booted, "Refused: there is nothing to start: no file opt/reveille/kernel in fw_cfg, and no initrd")
        .map(|_| ())
}

/// The kernel's ELF file is linked where the loader is.
fn elf(stand: &Stand) -> Result<(), String> {
    for manner in ["off", "spin-table"] {
        let payload = Payload::new(&stand.image().elf, QUIET)?;
        let booted = boot(stand, stand.loader()?, &payload, cpus(4), &format!("loader.handover={manner}"))?;
        handed_over(&booted, 4, 1, manner)?;
        says(&booted, ", not where it is linked")?;
    }
    Ok(())
}

/// The kernel as it would be if it were linked at `address`, and nowhere else.
fn linked_kernel(stand: &Stand, address: u64) -> Result<Payload, String> {
    let file = std::fs::read(&stand.image().elf).map_err(|error| error.to_string())?;
    Payload::of(payload::linked_at(&file, address)?, QUIET)
}

fn linked_elf(stand: &Stand) -> Result<(), String> {
    let payload = linked_kernel(stand, 0x5020_0000)?;
    let booted = boot(stand, stand.loader()?, &payload, at_el2(cpus(4)), "loader.handover=spin-table")?;
    handed_over(&booted, 4, 2, "spin-table")?;
    says(&booted, "segments, entered at 0x5020")
}

/// The command's own way, with the file that has the kernel's symbols.
fn elf_stack(stand: &Stand) -> Result<(), String> {
    let stack = "firmware,loader,kernel".parse().unwrap_or_default();
    let booted = stand.boot(&BootOptions { stack, format: Some(ImageFormat::Elf), ..cpus(4) })?;
    handed_over(&booted, 4, 1, "off")?;
    says(&booted, "segments, entered at")
}

fn tampered_elf(stand: &Stand) -> Result<(), String> {
    let payload = Payload::new(&stand.image().elf, QUIET)?;
    let qemu_arguments = payload.arguments(|parts| parts[0].1[3 * CHUNK + 5] ^= 1)?;
    let booted = stand.boot_image(stand.loader()?, &BootOptions { qemu_arguments, ..cpus(4) })?;
    refused(&booted, "Refused: kernel: chunk 3 has another digest").map(|_| ())
}

fn bad_elf(stand: &Stand) -> Result<(), String> {
    // What is beside the kernel's file lies at the end of memory, and QEMU's devicetree 128 MiB into it.
    let table = [
        (0x4020_0000, "would lie over the loader"),
        (0x4800_0000, "would lie over the devicetree"),
        (0x5f60_0000, "would lie over the initrd"),
        (0x1000_0000, "is not in memory"),
    ];
    for (address, reason) in table {
        let payload = linked_kernel(stand, address)?.with_part("initrd", &stand.image().flat, "")?;
        let booted = boot(stand, stand.loader()?, &payload, cpus(4), "")?;
        refused(&booted, &format!("Refused: the kernel cannot be loaded: its segment from {address:#x} to"))?;
        says(&booted, reason)?;
    }
    Ok(())
}

fn with_faults(stand: &Stand, own: &str) -> Result<Booted, String> {
    let own = format!("loader.leave_ms=500 {own}");
    boot(stand, stand.faulty_loader()?, &kernel(stand)?, cpus(4), &own)
}

fn stays(stand: &Stand) -> Result<(), String> {
    let booted = with_faults(stand, "loader.denied=2")?;
    refused(&booted, "cannot be handed over: CPU 2 (0x2) could not leave: CPU_OFF: DENIED (-3)")?;
    let booted = with_faults(stand, "loader.silent=3 loader.handover=spin-table")?;
    refused(&booted, "cannot be handed over: CPU 3 (0x3) was asked to leave and does not answer").map(|_| ())
}

fn goes_on_without(stand: &Stand) -> Result<(), String> {
    for (own, manner) in [("loader.denied=2", "off"), ("loader.silent=2", "off"), ("loader.silent=2", "spin-table")] {
        let booted = with_faults(stand, &format!("{own} loader.without=1 loader.handover={manner}"))?;
        let report = booted.expect_all_online(3)?;
        let ids: Vec<u64> = report.cpus.iter().map(|cpu| cpu.hw_id).collect();
        booted.expect(report.image == "kernel" && ids == [0, 1, 3], "the kernel is not offered CPU 2")?;
        says(&booted, &format!("(2 CPUs {manner}, without: CPU 2 (0x2)"))?;
    }
    Ok(())
}

/// A CPU that is still on is offered all the same: firmware refuses to start it, and the kernel says so and goes on.
fn already_on(stand: &Stand) -> Result<(), String> {
    let booted = with_faults(stand, "loader.silent=2 loader.without=1 loader.offer_all=1")?;
    let problems = booted.problems()?;
    let named = problems.len() == 1 && problems[0].contains("CPU_ON: ALREADY_ON (-4)");
    booted.expect(named, "CPU 2 is on already")?;
    let report = booted.report()?;
    let failed = report.cpus[2].outcome == Outcome::Failed && report.online_count == 3;
    booted.expect(report.image == "kernel" && failed, "the others are online")
}

/// Boots a system that is not ours both ways; the run ends when that has no root, and all CPUs should be there.
fn foreign(stand: &Stand, payload: &Payload, options: &BootOptions, expected: &[&str]) -> Result<(), String> {
    for manner in ["off", "spin-table"] {
        let mut options = options.clone();
        options.timeout = Some(std::time::Duration::from_secs(240));
        options.qemu_arguments.push("-no-reboot".into());
        let booted = boot(stand, stand.loader()?, payload, options, &format!("loader.handover={manner}"))?;
        for text in expected {
            says(&booted, text)?;
        }
        let report = booted.report()?;
        booted.expect(report.image == "loader" && report.passed, "the loader has done its part")?;
    }
    Ok(())
}

fn debian_linux() -> Result<std::path::PathBuf, String> {
    fetch::debian_linux().map_err(|error| error.to_string())
}

fn linux(stand: &Stand, count: u32) -> Result<(), String> {
    let payload = Payload::new(&debian_linux()?, "console=ttyAMA0 panic=-1")?;
    let brought_up = format!("smp: Brought up 1 node, {count} CPUs");
    foreign(stand, &payload, &cpus(count), &[&brought_up, "CPU: All CPU(s) started at EL1"])?;
    foreign(stand, &payload, &at_el2(cpus(count)), &[&brought_up, "CPU: All CPU(s) started at EL2"])
}

fn xen(stand: &Stand) -> Result<(), String> {
    let xen = fetch::debian_xen().map_err(|error| error.to_string())?;
    let payload = Payload::new(&xen, "console=dtuart dom0_mem=256M vwfi=native")?;
    let payload = payload.with_part("module", &debian_linux()?, "console=hvc0 panic=-1")?;
    let options = BootOptions { qemu_arguments: vec!["-m".into(), "1G".into()], ..at_el2(cpus(4)) };
    foreign(stand, &payload, &options, &["(XEN) Brought up 4 CPUs", "smp: Brought up 1 node, 4 CPUs"])
}
