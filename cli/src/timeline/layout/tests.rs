//! What holds for every picture, on reports of all kinds.

use super::*;
use crate::report::{LeftOut, Outcome, Phase, sample};
use crate::summary::outcome_words;
use crate::timeline::story::is_faulty;

/// Reports with every kind of fault, of all sizes.
fn reports() -> Vec<(&'static str, Report)> {
    let mut reports: Vec<(&str, Report)> =
        [1, 2, 4, 8, 9, 16, 41, 64, 128, 161, 512].map(|count| ("good", sample::cpus(count))).into();
    for count in [8, 64, 128, 512] {
        for (name, outcome, reason) in FAULTS {
            reports.push((name, with_fault(count, &[5], outcome, reason)));
        }
        let all: Vec<u32> = (1..count).collect();
        reports.push(("all dead", with_fault(count, &all, Outcome::TimedOut, FAULTS[0].2)));
    }
    let mut lost = sample::cpus(8);
    lost.cpus[3].lost_events = 7;
    lost.cpus[3].events.drain(..1);
    reports.push(("lost events", lost));
    let mut left_out = sample::cpus(4);
    left_out.left_out = vec![
        LeftOut {
            node: "cpu@9".into(),
            hw_id: Some(9),
            reason: "its id is that of an earlier CPU".into(),
            fault: true,
        },
        LeftOut { node: "cpu@a".into(), hw_id: None, reason: "beyond nr_cpus".into(), fault: false },
    ];
    reports.push(("left out", left_out));
    let absent: Vec<u32> = (3..8).collect();
    reports.push(("not asked for", with_fault(8, &absent, Outcome::NotAsked, "")));
    let mut dark = sample::cpus(4);
    dark.cpus.iter_mut().for_each(|cpu| cpu.events.clear());
    reports.push(("no events", dark));
    let mut nothing = sample::cpus(1);
    nothing.cpus.clear();
    reports.push(("no CPUs", nothing));
    let mut wordy = with_fault(8, &[2], Outcome::Failed, &"a very long reason ".repeat(40));
    wordy.machine = "x".repeat(300);
    reports.push(("long words", wordy));
    reports
}

const FAULTS: [(&str, Outcome, &str); 3] = [
    ("dead", Outcome::TimedOut, "never arrived (firmware says ON)"),
    ("refused", Outcome::Failed, "CPU_ON: INVALID_PARAMETERS (-2)"),
    ("stuck", Outcome::Stuck, "arrived and got stuck in gic_starting_cpu (firmware says ON)"),
];

fn with_fault(count: u32, cpus: &[u32], outcome: Outcome, reason: &str) -> Report {
    let mut report = sample::cpus(count);
    for &index in cpus {
        let cpu = &mut report.cpus[index as usize];
        cpu.outcome = outcome;
        cpu.reason = (!reason.is_empty()).then(|| reason.to_owned());
        let keep = if outcome == Outcome::Stuck { 2 } else { 0 };
        cpu.events.truncate(keep);
    }
    report.online_count = count - cpus.len() as u32;
    report
}

fn lane_of(layout: &Layout, cpu: u32) -> &Lane {
    let mut lanes = layout.lanes.iter();
    lanes.find(|lane| lane.cpus.is_some_and(|(first, last)| (first..=last).contains(&cpu))).expect("a lane")
}

fn words(texts: &[Text]) -> String {
    texts.iter().map(|text| text.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_cpu_has_a_lane_and_lanes_follow_each_other() {
    for (name, report) in reports() {
        let layout = Layout::new(&report);
        for cpu in &report.cpus {
            lane_of(&layout, cpu.index);
        }
        for pair in layout.lanes.windows(2) {
            assert!((pair[0].top + pair[0].height - pair[1].top).abs() < 0.01, "{name}: {pair:?}");
        }
        assert!(layout.plot.1 < layout.height, "{name}");
    }
}

#[test]
fn everything_is_within_the_picture_and_its_lane() {
    for (name, report) in reports() {
        let layout = Layout::new(&report);
        for text in layout.heading.iter().chain(&layout.legend).chain(&layout.axis) {
            let (left, right) = text.extent();
            assert!(left >= 0.0 && right <= WIDTH && text.y < layout.height, "{name}: {text:?}");
        }
        for lane in &layout.lanes {
            let within = |top: f64, bottom: f64| top >= lane.top - 0.5 && bottom <= lane.top + lane.height + 0.5;
            for bar in &lane.bars {
                assert!(bar.left >= PLOT_LEFT - 0.01 && bar.right <= PLOT_RIGHT + 3.0, "{name}: {bar:?}");
                assert!(bar.right >= bar.left && within(bar.top, bar.top + bar.height), "{name}: {bar:?} {lane:?}");
            }
            for text in &lane.texts {
                let (left, right) = text.extent();
                assert!(left >= 0.0 && right <= WIDTH, "{name}: {text:?}");
                // A label may stand for several low lanes.
                assert!(text.y > lane.top && (lane.height < 12.0 || within(lane.top, text.y)), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn no_bar_covers_another_in_its_row() {
    for (name, report) in reports() {
        for lane in Layout::new(&report).lanes {
            for (position, bar) in lane.bars.iter().enumerate() {
                let row = |other: &&Bar| (other.top - bar.top).abs() < 1.0 && other.kind != BarKind::Missed;
                for other in lane.bars[position + 1..].iter().filter(row).filter(|_| bar.kind != BarKind::Missed) {
                    assert!(other.left >= bar.right - 0.01, "{name}: {bar:?} {other:?}");
                }
            }
        }
    }
}

#[test]
fn no_text_covers_another() {
    for (name, report) in reports() {
        let layout = Layout::new(&report);
        let texts: Vec<&Text> = layout.lanes.iter().flat_map(|lane| &lane.texts).chain(&layout.heading).collect();
        for (position, text) in texts.iter().enumerate() {
            let (left, right) = text.extent();
            for other in &texts[position + 1..] {
                let apart = (text.y - other.y).abs() >= text.size.min(other.size) * 0.8;
                let (other_left, other_right) = other.extent();
                assert!(apart || right <= other_left || other_right <= left, "{name}: {text:?} {other:?}");
            }
        }
    }
}

#[test]
fn a_faulty_cpu_has_its_whole_reason_in_its_lane_and_in_the_heading() {
    for (name, report) in reports() {
        let layout = Layout::new(&report);
        let spoken_for = layout.lanes.iter().filter(|lane| lane.look == Look::Faulty).map(|lane| words(&lane.texts));
        let all = spoken_for.collect::<Vec<_>>().join(" ");
        let faulty: Vec<_> = report.cpus.iter().filter(|cpu| is_faulty(cpu)).collect();
        for cpu in &faulty {
            let lane = lane_of(&layout, cpu.index);
            assert!(lane.look == Look::Faulty && lane.signs.iter().any(|sign| sign.kind == SignKind::Failed), "{name}");
            let reason = cpu.reason.as_deref().unwrap().trim_end();
            let own = words(&lane.texts);
            let speaker = if faulty.len() > 4 { &all } else { &own };
            assert!(speaker.contains(reason) && speaker.contains(outcome_words(cpu.outcome)), "{name}: {own}");
            assert!(words(&layout.heading).contains(reason), "{name}");
        }
        if let [one] = faulty.as_slice() {
            assert!(words(&lane_of(&layout, one.index).texts).contains(&format!("CPU {}", one.index)), "{name}");
            assert!(words(&layout.heading).contains(&format!("CPU {} ", one.index)), "{name}");
        }
    }
}

#[test]
fn a_cpu_that_was_waited_for_is_marked_from_its_kick_to_the_end_of_the_wait() {
    let report = with_fault(8, &[5], Outcome::TimedOut, "never arrived");
    let layout = Layout::new(&report);
    let lane = lane_of(&layout, 5);
    let kick = layout.kicks.iter().find(|kick| kick.target == 5).unwrap();
    let missed = lane.bars.iter().find(|bar| bar.kind == BarKind::Missed).unwrap();
    assert!((missed.left - kick.x).abs() < 0.01 && missed.right > PLOT_LEFT + 700.0, "{missed:?}");
    assert!((kick.to - lane.state_y).abs() < 0.01 && kick.from < kick.to);
    let text = words(&lane.texts);
    assert!(text.contains("kicked at +4.00 µs, waited for until +848 µs"), "{text}");
}

#[test]
fn what_was_left_out_is_listed_with_its_reason() {
    let reports = reports();
    let (_, report) = reports.iter().find(|(name, _)| *name == "left out").unwrap();
    let layout = Layout::new(report);
    let [fault, absent] = &layout.lanes[4..] else { panic!("two lanes for what was left out") };
    assert_eq!((fault.look, absent.look), (Look::Faulty, Look::Absent));
    assert!(words(&fault.texts).contains("cpu@9 (0x9): its id is that of an earlier CPU"));
    assert!(words(&absent.texts).contains("cpu@a: beyond nr_cpus"));
    assert!(words(&layout.heading).contains("cpu@9 (0x9) left out: its id is that of an earlier CPU"));
}

#[test]
fn cpus_that_nobody_asked_for_share_a_lane() {
    let absent: Vec<u32> = (3..8).collect();
    let layout = Layout::new(&with_fault(8, &absent, Outcome::NotAsked, ""));
    assert_eq!(layout.lanes.last().unwrap().cpus, Some((3, 7)));
    assert!(words(&layout.lanes.last().unwrap().texts).contains("CPUs 3–7"));
}

#[test]
fn lost_events_are_said_and_seen() {
    let reports = reports();
    let (_, report) = reports.iter().find(|(name, _)| *name == "lost events").unwrap();
    let layout = Layout::new(report);
    let lane = lane_of(&layout, 3);
    assert!(lane.bars.iter().any(|bar| bar.kind == BarKind::Lost));
    assert!(words(&lane.texts).contains("the oldest 7 events were lost"));
    assert!(words(&layout.heading).contains("CPU 3 (0x3): the oldest 7 events were lost"));
}

#[test]
fn names_are_drawn_where_they_fit() {
    let mut events = vec![("wide_function", 0, Phase::Begin)];
    for ns in (0..1_000).step_by(50) {
        events.extend([("child", ns, Phase::Begin), ("child", ns + 2, Phase::End)]);
    }
    events.extend([("wide_function", 1_000, Phase::End), ("narrow_function", 1_100, Phase::Begin)]);
    events.extend([("narrow_function", 1_110, Phase::End), ("next_function", 1_300, Phase::Begin)]);
    events.extend([("next_function", 1_350, Phase::End)]);
    let layout = Layout::new(&sample::with_events(&[&events]));
    let text = |name: &str| layout.lanes[0].texts.iter().find(|text| text.text == name).cloned().expect(name);
    assert!(text("wide_function").in_bar);
    assert!(!text("narrow_function").in_bar);
    assert!(!text("child ×20").in_bar);
}

#[test]
fn spans_that_begin_and_end_together_are_one_bar() {
    let layout = Layout::new(&sample::with_events(&[&[
        ("cpu_up", 0, Phase::Begin),
        ("boot_secondary", 0, Phase::Begin),
        ("cpu_psci_cpu_boot", 0, Phase::Begin),
        ("cpu_psci_cpu_boot", 50, Phase::End),
        ("boot_secondary", 50, Phase::End),
        ("cpu_up", 50, Phase::End),
    ]]));
    assert_eq!(layout.lanes[0].bars.len(), 1);
    assert!(layout.lanes[0].bars[0].title.contains("cpu_up › boot_secondary › cpu_psci_cpu_boot"));
}

#[test]
fn a_run_that_was_cut_short_is_not_counted() {
    let mut report = sample::cpus(4);
    report.end = crate::report::End::Died;
    let heading = words(&Layout::new(&report).heading);
    assert!(heading.contains("the image did not come to its end") && heading.contains("the machine died"), "{heading}");
    assert!(!heading.contains("CPUs online"), "{heading}");
}

#[test]
fn cpus_with_the_largest_numbers_there_are_have_lanes_with_labels() {
    let dead: Vec<u32> = (9..64).collect();
    for mut report in [sample::cpus(64), with_fault(64, &dead, Outcome::TimedOut, FAULTS[0].2)] {
        report.cpus.iter_mut().for_each(|cpu| cpu.index = u32::MAX);
        let layout = Layout::new(&report);
        assert_eq!(layout.lanes.len(), 64);
        assert!(layout.lanes[0].texts.iter().any(|text| text.text.contains("4294967295")), "{:?}", layout.lanes[0]);
    }
}
