use super::*;
use crate::report::{Entry, GuestReport, sample};
use crate::timeline::layout::{SIZE, WIDTH};

/// A chain of four stages with so many CPUs, and further guests.
fn chain(cpus: u32, guests: u32) -> Report {
    let stage =
        |image: &str, counter_ns| Report { image: image.into(), counter_ns: Some(counter_ns), ..sample::cpus(cpus) };
    let mut firmware = stage("firmware", 0);
    firmware.entries = vec![Entry { cpu: 0, ns: 100_000, address: 0, level: 2 }];
    let mut stages = vec![firmware, stage("loader", 200_000), stage("hypervisor", 2_000_000)];
    for number in 0..guests {
        let guest = Some(GuestReport { number, name: format!("guest{number}"), ended: None });
        stages.push(Report { guest, ..stage("linux", 9_000_000) });
    }
    Report { stages: stages.clone(), ..stages[3].clone() }
}

fn pictures() -> Vec<(String, Layout)> {
    let mut pictures = Vec::new();
    for cpus in [1, 2, 4, 8, 16, 17, 64, 200] {
        for guests in [1, 2, 5] {
            pictures.push((format!("{cpus} CPUs, {guests} guests"), Layout::new(&chain(cpus, guests))));
        }
    }
    pictures
}

#[test]
fn every_stage_has_a_column_with_its_name_and_they_follow_each_other() {
    for (name, layout) in pictures() {
        let titles: Vec<&Text> = layout.axis.iter().filter(|text| text.bold).collect();
        assert!(titles.len() >= 4 && titles[0].text == "firmware", "{name}: {titles:?}");
        assert!(titles.windows(2).all(|pair| pair[0].extent().1 < pair[1].x), "{name}: {titles:?}");
    }
    let layout = Layout::new(&chain(4, 1));
    let titles: Vec<&str> = layout.axis.iter().filter(|text| text.bold).map(|text| text.text.as_str()).collect();
    assert_eq!(titles, ["firmware", "loader", "hypervisor", "linux (guest 0)"]);
    assert_eq!(layout.kicks.len(), 9, "three stages start three CPUs each");
    assert_eq!(layout.cuts.len(), 3);
}

#[test]
fn nothing_covers_anything_and_all_is_within_the_picture() {
    for (name, layout) in pictures() {
        let ticks = layout.ticks.iter().map(|tick| Text {
            anchor: Anchor::Middle,
            size: SIZE,
            ..label(tick.x, layout.plot.0 - 8.0, tick.label.as_str())
        });
        let ticks: Vec<Text> = ticks.collect();
        let lanes = layout.lanes.iter().flat_map(|lane| &lane.texts);
        let texts: Vec<&Text> = lanes.chain(&layout.heading).chain(&layout.axis).chain(&ticks).collect();
        for (position, text) in texts.iter().enumerate() {
            let (left, right) = text.extent();
            assert!(left >= 0.0 && right <= WIDTH && text.y < layout.height, "{name}: {text:?}");
            for other in &texts[position + 1..] {
                let apart = (text.y - other.y).abs() >= text.size.min(other.size) * 0.8;
                let (other_left, other_right) = other.extent();
                assert!(apart || right <= other_left || other_right <= left, "{name}: {text:?} {other:?}");
            }
        }
        for lane in &layout.lanes {
            for (position, bar) in lane.bars.iter().enumerate() {
                assert!(bar.left >= PLOT_LEFT && bar.right <= PLOT_RIGHT + 0.1, "{name}: {bar:?}");
                assert!(
                    lane.bars[position + 1..].iter().all(|other| other.left >= bar.right - 0.01),
                    "{name}: {bar:?}"
                );
            }
        }
        for cut in &layout.cuts {
            let bars = layout.lanes.iter().flat_map(|lane| &lane.bars);
            assert!(bars.into_iter().all(|bar| bar.right <= cut.left + 0.1 || bar.left >= cut.right - 0.1), "{name}");
        }
    }
}

#[test]
fn a_stage_that_lacks_a_cpu_is_named_and_its_lane_shows_it() {
    let mut report = chain(4, 1);
    let cpu = &mut report.stages[2].cpus[2];
    (cpu.outcome, cpu.reason) = (Outcome::TimedOut, Some("never arrived".into()));
    cpu.events.clear();
    report.stages[2].online_count = 3;
    let layout = Layout::new(&report);
    let heading: Vec<&str> = layout.heading.iter().map(|text| text.text.as_str()).collect();
    assert_eq!(heading[0], "virt: not every stage has all its CPUs online");
    assert!(
        heading.iter().any(|line| line.starts_with("hypervisor: CPU 2 (0x2) timed out: never arrived")),
        "{heading:?}"
    );
    assert_eq!(layout.lanes[2].look, Look::Faulty);
    assert!(layout.lanes[2].signs.iter().any(|sign| sign.kind == SignKind::Failed));
}
