//! The verdicts of `reveille torture` on real boots.

use reveille_cli::stack::System;
use reveille_cli::torture::judge::Grade;
use reveille_cli::torture::{self, Torture, TortureOptions};
use reveille_system_tests::Stand;

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("torture_tells_what_the_kernel_makes_of_cpus_that_misbehave", kernel),
    ("torture_stops_where_a_kernel_does_not_come_up_when_all_is_well", unready),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("torture_takes_the_kernel_through_every_scenario", |stand| {
        let torture = tortured(stand, System::Kernel, &[])?;
        expect(torture::is_well(&torture) && torture.not_tried.is_empty(), &torture, "the kernel takes them all well")
    }),
    ("torture_tells_what_linux_makes_of_cpus_that_misbehave", linux),
];

fn tortured(stand: &Stand, system: System, scenarios: &[&str]) -> Result<Torture, String> {
    let options = TortureOptions {
        system,
        cpus: 4,
        initrd: None,
        append: None,
        hotplug: None,
        ready: None,
        timeout: None,
        scenarios: scenarios.iter().map(|&name| name.to_owned()).collect(),
        folder: None,
    };
    torture::run(stand.host(), &options, &mut |_| {}).map_err(|error| error.to_string())
}

fn expect(condition: bool, torture: &Torture, complaint: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(format!("{complaint}:\n{}", torture::table::draw(torture))) }
}

/// What each scenario should come to: the grade, the missing CPUs, and a part of the words.
fn expect_trials(torture: &Torture, expected: &[(&str, Grade, &[u32], &str)]) -> Result<(), String> {
    expect(torture.trials.len() == expected.len(), torture, "each scenario should be tried")?;
    for (trial, (scenario, grade, missing, words)) in torture.trials.iter().zip(expected) {
        let judged = &trial.judged;
        let is_so = judged.grade == *grade && judged.missing == *missing && judged.words.contains(words);
        expect(trial.scenario == *scenario && is_so, torture, &format!("{scenario} should be {grade:?}: {words}"))?;
    }
    Ok(())
}

fn kernel(stand: &Stand) -> Result<(), String> {
    let torture = tortured(stand, System::Kernel, &["several-dead", "refused-denied", "off-denied"])?;
    expect_trials(
        &torture,
        &[
            ("all-well", Grade::Whole, &[], ""),
            ("several-dead", Grade::Without, &[1, 3], "never arrived (firmware says ON_PENDING) (and 1 more)"),
            ("refused-denied", Grade::Without, &[2], "CPU_ON: DENIED (-3)"),
            ("off-denied", Grade::Whole, &[], "CPU_OFF: DENIED (-3)"),
        ],
    )?;
    let faulty = torture.trials[2].log.iter().filter(|call| call.faulty && call.target == Some(2)).count();
    expect(faulty == 1 && torture.trials[2].starts == 3, &torture, "the log should show the refusal")
}

/// The kernel as an Image of which nothing is known: it switches the machine off without having said that it is up.
fn unready(stand: &Stand) -> Result<(), String> {
    let image = stand.image().flat.clone();
    let options = TortureOptions {
        system: System::Image(image),
        cpus: 2,
        initrd: None,
        append: None,
        hotplug: None,
        ready: Some("login:".parse()?),
        timeout: None,
        scenarios: Vec::new(),
        folder: None,
    };
    let torture = torture::run(stand.host(), &options, &mut |_| {}).map_err(|error| error.to_string())?;
    let only = torture.trials.len() == 1 && torture.trials[0].judged.grade == Grade::Crashed;
    expect(only, &torture, "there is nothing to try on a kernel that does not come up")
}

fn linux(stand: &Stand) -> Result<(), String> {
    let torture = tortured(stand, System::Linux(None), &["one-dead", "refused-denied", "off-denied"])?;
    expect_trials(
        &torture,
        &[
            ("all-well", Grade::Whole, &[], ""),
            ("one-dead", Grade::Without, &[2], "CPU2: failed to come online"),
            ("refused-denied", Grade::LostSilently, &[2], "nothing is said of CPU 2"),
            ("off-denied", Grade::Crashed, &[], "BUG"),
        ],
    )
}
