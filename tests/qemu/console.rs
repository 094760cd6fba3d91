//! Commands that are typed while the system runs.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use reveille_cli::boot::{self, BootOptions};
use reveille_cli::console::Silent;
use reveille_cli::keyboard::Keyboard;
use reveille_cli::verdict::Verdict;
use reveille_system_tests::{Booted, Stand, cpus, raspi3b};

use crate::wide::with_16550;
use crate::{Test, command};

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("the_console_takes_cpus_up_down_and_half_way", piped),
    ("the_console_ends_the_run_when_its_input_ends", end_of_input),
    ("the_console_moves_with_its_interrupt_when_its_cpu_goes_down", |stand| moves(stand, cpus(4))),
    ("the_console_moves_with_its_interrupt_on_a_gic_v2", |stand| moves(stand, BootOptions { gic: Some(2), ..cpus(4) })),
    ("the_console_freezes_and_thaws_all_secondaries", frozen),
    ("the_console_says_why_the_only_cpu_stays", alone),
    ("the_console_reads_a_16550_without_an_interrupt", ns16550),
    ("row_26_each_cpu_of_the_raspberry_pi_goes_off_and_comes_back", raspberry_pi),
];

/// A command, and the beginnings of lines of its answer, in order; others may stand between them.
pub type Exchange<'a> = (&'a str, &'a [&'a str]);

const SESSION: &[Exchange<'_>] = &[
    ("cpu off 2", &["CPU 2 is at offline (state 0) after "]),
    (
        "cpu list",
        &[
            "CPU  hardware id  possible  present  online  active  state",
            "  0  0x0          yes       yes      yes     yes     sched:active (state ",
            "  2  0x2          yes       yes      -       -       offline (state 0)",
            "  3  0x3          yes       yes      yes     yes     sched:active (state ",
        ],
    ),
    ("ipi 2", &["CPU 2 is offline, and takes no interrupts"]),
    ("cpu off 2", &["CPU 2: it is at offline already ("]),
    ("cpu on 2", &["CPU 2 is at sched:active (state "]),
    ("ipi all", &["CPU 0 was interrupted", "CPU 1 was", "CPU 2 was", "CPU 3 was interrupted after "]),
    ("cpu state 3 ap:online", &["CPU 3 is at ap:online (state "]),
    ("cpu state 3", &["CPU 3 is at ap:online (state "]),
    ("cpu list", &["  3  0x3          yes       yes      yes     -       ap:online (state "]),
    ("cpu state 3 2", &["CPU 3 is at smpboot/threads:prepare (state 2) after "]),
    ("cpu state 3 cpu:bringup", &["CPU 3: no CPU can be held in state "]),
    ("cpu state 3 nowhere", &["'nowhere' is no state; steps lists them"]),
    ("cpu on 3", &["CPU 3 is at sched:active (state "]),
    ("cpu off 0", &["CPU 0: it cannot be taken down: cpu_can_disable: it is the boot CPU; it is at sched:active "]),
    ("cpu list", &["  0  0x0          yes       yes      yes     yes     sched:active "]),
    ("cpu off 9", &["there is no CPU 9; there is CPU 0-3"]),
    ("cpu off two", &["'two' is no number of a CPU"]),
    ("cpu off", &["cpu off takes the number of a CPU"]),
    ("cpu on 1 2", &["'2' is too much; help lists the commands"]),
    ("frobnicate", &["there is no command 'frobnicate'; help lists them"]),
    (
        "steps",
        &[
            "    0            offline",
            "    1  PREPARE   idle:prepare (no CPU can be held here)",
            "    2  PREPARE   smpboot/threads:prepare",
        ],
    ),
    ("trace 2", &["the trace ended with the boot; 0 older events were lost"]),
    ("help", &["cpu list  ", "exit  "]),
];

fn piped(_: &Stand) -> Result<(), String> {
    let lines: String = SESSION.iter().map(|(line, _)| format!("{line}\n")).collect();
    let arguments = ["boot", "--interactive", "--deadline", "10", "--timeout", "300"];
    let output = command::reveille_with_input(&arguments, format!("{lines}exit\n").as_bytes())?;
    command::expect(&output, 0, &["reveille> exit\n", "4 of 4 CPUs online"])?;
    expect_answers(&String::from_utf8_lossy(&output.stdout), SESSION)
}

fn end_of_input(_: &Stand) -> Result<(), String> {
    let arguments = ["boot", "--interactive", "--deadline", "10", "--timeout", "300"];
    let output = command::reveille_with_input(&arguments, b"cpu off 1")?;
    command::expect(&output, 0, &["reveille> exit\n", "4 of 4 CPUs online"])?;
    expect_answers(&String::from_utf8_lossy(&output.stdout), &[("cpu off 1", &["CPU 1 is at offline (state 0)"])])
}

/// Complains unless `text` shows each command behind a prompt, in order, with its answer below.
fn expect_answers(text: &str, session: &[Exchange<'_>]) -> Result<(), String> {
    let complain = |what: String| Err(format!("{what}:\n{text}"));
    let mut exchanges = text.split("reveille> ").skip(1);
    for &(command, answers) in session {
        let Some(exchange) = exchanges.next() else { return complain(format!("'{command}' was not typed")) };
        let mut lines = exchange.lines();
        if lines.next() != Some(command) {
            return complain(format!("'{command}' should come next"));
        }
        if let Some(answer) = answers.iter().find(|answer| !lines.any(|line| line.starts_with(**answer))) {
            return complain(format!("'{command}' should be answered by «{answer}»"));
        }
    }
    Ok(())
}

/// One after the other, and then all others at once, so that the boot CPU was alone.
fn raspberry_pi(stand: &Stand) -> Result<(), String> {
    let session: &[Exchange<'_>] = &[
        ("cpu off 1", &["CPU 1 is at offline (state 0) after "]),
        ("cpu on 1", &["CPU 1 is at sched:active (state "]),
        ("cpu off 2", &["CPU 2 is at offline (state 0) after "]),
        ("cpu on 2", &["CPU 2 is at sched:active (state "]),
        ("cpu off 3", &["CPU 3 is at offline (state 0) after "]),
        ("cpu on 3", &["CPU 3 is at sched:active (state "]),
        ("freeze", &[]),
        (
            "cpu list",
            &["  0  0x0          yes       yes      yes     yes ", "  1  0x1          yes       yes      -       - "],
        ),
        ("thaw", &[]),
        ("ipi all", &["CPU 0 was interrupted", "CPU 1 was", "CPU 2 was", "CPU 3 was interrupted after "]),
    ];
    converse(stand, raspi3b("")?, session)?.expect_all_online(4).map(|_| ())
}

/// Has the lines of `session` typed at a machine, and checks the answers.
pub fn converse(stand: &Stand, mut options: BootOptions, session: &[Exchange<'_>]) -> Result<Booted, String> {
    options.append = Some("reveille.console=1".into());
    options.timeout = Some(options.limit());
    let lines: String = session.iter().map(|(line, _)| format!("{line}\n")).collect();
    let keyboard = Keyboard::of(std::io::Cursor::new(lines));
    let run = boot::converse(stand.host(), stand.image(), &options, keyboard, &mut Silent);
    let booted = Booted(run.map_err(|error| error.to_string())?);
    booted.expect(booted.0.verdict == Verdict::AllOnline, "the run should end well")?;
    expect_answers(&booted.0.console.text(), session)?;
    Ok(booted)
}

/// Its thread and its UART's interrupt are on CPU 1 at first, and go to the next CPU that is active.
fn moves(stand: &Stand, options: BootOptions) -> Result<(), String> {
    let session: &[Exchange<'_>] = &[
        ("cpu list", &["the console runs on CPU 1, interrupt 33 goes to CPU 1"]),
        ("cpu off 1", &["CPU 1 is at offline"]),
        ("cpu list", &["the console runs on CPU 2, interrupt 33 goes to CPU 2"]),
        ("cpu off 2", &["CPU 2 is at offline"]),
        ("cpu list", &["the console runs on CPU 3, interrupt 33 goes to CPU 3"]),
        ("cpu on 1", &["CPU 1 is at sched:active"]),
        ("cpu off 3", &["CPU 3 is at offline"]),
        ("cpu off 1", &["CPU 1 is at offline"]),
        ("cpu list", &["the console runs on CPU 0, interrupt 33 goes to CPU 0"]),
    ];
    converse(stand, options, session).map(|_| ())
}

fn frozen(stand: &Stand) -> Result<(), String> {
    let session: &[Exchange<'_>] = &[
        ("cpu off 2", &["CPU 2 is at offline"]),
        ("thaw", &["no CPU is frozen"]),
        ("freeze", &["CPU 1,3 is frozen after "]),
        ("cpu on 2", &["CPU 2: hotplug is disabled; it is at offline"]),
        ("freeze", &["CPU 0: hotplug is disabled"]),
        ("thaw", &["CPU 1 is at sched:active", "CPU 3 is at sched:active", "CPU 1,3 is thawed after "]),
        (
            "cpu list",
            &["  2  0x2          yes       yes      -       -       offline (state 0), last error: hotplug is"],
        ),
        ("cpu on 2", &["CPU 2 is at sched:active"]),
        ("cpu list", &["  2  0x2          yes       yes      yes     yes     sched:active"]),
    ];
    converse(stand, cpus(4), session).map(|_| ())
}

fn alone(stand: &Stand) -> Result<(), String> {
    let session: &[Exchange<'_>] = &[
        ("cpu off 0", &["CPU 0: it is the last CPU that is online; it is at sched:active"]),
        ("cpu on 1", &["there is no CPU 1; there is CPU 0"]),
        ("freeze", &["no CPU is frozen after "]),
        ("thaw", &["no CPU is thawed after "]),
    ];
    converse(stand, cpus(1), session).map(|_| ())
}

/// A 16550 whose node in the devicetree has no interrupt: it is looked at now and then.
fn ns16550(stand: &Stand) -> Result<(), String> {
    let session: &[Exchange<'_>] =
        &[("cpu off 1", &["CPU 1 is at offline"]), ("cpu on 1", &["CPU 1 is at sched:active"]), ("exit", &[])];
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let socket = folder.path().join("console");
    let chardev = format!("socket,server=on,wait=on,path={}", socket.display());
    let (loader, mut options) = with_16550(stand, folder.path(), &chardev)?;
    options.append = Some("reveille.console=1".into());
    let lines: String = session.iter().map(|(line, _)| format!("{line}\r")).collect();
    let typist = std::thread::spawn(move || type_into(&socket, &lines));
    let booted = stand.boot_at(0x4060_0000, loader, options)?;
    let text =
        typist.join().map_err(|_| "the typist panicked")?.map_err(|error| booted.complaint(&error.to_string()))?;
    expect_answers(&text, session)?;
    booted.expect(text.contains("Proof of job: passed"), &format!("it should end with the report:\n{text}"))
}

/// Writes `text` to the socket, as soon as it is there, and reads what comes until it is closed.
fn type_into(socket: &Path, text: &str) -> io::Result<String> {
    let end = Instant::now() + Duration::from_secs(60);
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
            Ok(stream) => break stream,
        }
    };
    stream.write_all(text.as_bytes())?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard)?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}
