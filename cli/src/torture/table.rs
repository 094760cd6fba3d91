//! What a kernel was put through and what it made of it, as a table in Markdown, which terminals and documents show alike.

use super::{Torture, Trial};
use crate::bench::table::push_table;

/// The table, and below it what was not tried.
#[must_use]
pub fn draw(torture: &Torture) -> String {
    let mut text = String::new();
    let header = ["scenario", "the firmware's fault", "verdict", "what the system says", "CPU_ONs", "time"];
    push_table(&mut text, &header, &torture.trials.iter().map(cells).collect::<Vec<_>>());
    let Torture { system, version, cpus, qemu, .. } = torture;
    text.push_str(&format!("\n{system} {version} with {cpus} CPUs on Reveille's firmware, {qemu}.\n"));
    for not_tried in &torture.not_tried {
        text.push_str(&format!("\n{not_tried}.\n"));
    }
    text
}

fn cells(trial: &Trial) -> Vec<String> {
    // A bar would end the cell.
    let cell = |text: &str| text.replace('|', "\\|");
    vec![
        trial.scenario.clone(),
        if trial.faults.is_empty() { "-".to_owned() } else { cell(&trial.faults) },
        trial.judged.grade.words().to_owned(),
        cell(&trial.judged.words),
        trial.starts.to_string(),
        format!("{:.1} s", trial.seconds),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::judge::{Grade, Judged};

    #[test]
    fn a_trial_is_a_line_whatever_the_system_said() {
        let judged = Judged { grade: Grade::Without, missing: vec![2], words: "CPU2: a | b".into() };
        let trial = Trial {
            scenario: "one-dead".into(),
            faults: "cpu2:dead".into(),
            judged,
            starts: 3,
            seconds: 1.25,
            log: vec![],
        };
        let torture = Torture {
            system: "linux".into(),
            version: "6.12".into(),
            cpus: 4,
            qemu: "QEMU 7".into(),
            trials: vec![trial],
            not_tried: vec!["Not tried: lies".into()],
        };
        let text = draw(&torture);
        assert_eq!(text.lines().count(), 7, "{text}");
        let line = text.lines().nth(2).unwrap();
        assert!(
            line.contains("| came up without it, and said so | CPU2: a \\| b") && line.contains("| 1.2 s"),
            "{line}"
        );
        assert!(text.ends_with("\nNot tried: lies.\n"));
    }
}
