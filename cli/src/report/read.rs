//! Reads a [`Report`] from a file that someone saved, or made up: nothing in it reaches a terminal or a picture unchecked.

use std::iter;
use std::path::Path;

use reveille_trace_format::SCHEMA;
use serde_json::error::Category;

use super::Report;
use crate::error::Error;
use crate::input;

/// The most that a report may have, in bytes: far more than that of 512 CPUs has.
const MOST: u64 = 256 << 20;

/// Reads a report from a file. Characters that would disturb what stands around them are replaced.
///
/// # Errors
/// [`Error::ReportRead`].
pub fn read(path: &Path) -> Result<Report, Error> {
    let refused = |problem: String| Error::ReportRead { path: path.to_owned(), problem };
    let bytes = input::read(path, MOST).map_err(|error| refused(error.to_string()))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(refused("it is empty".into()));
    }
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| refused(problem(&error)))?;
    let Some(schema) = value.get("schema") else {
        return Err(refused(
            "it is JSON without the member \"schema\", which every report of boot --report has".into(),
        ));
    };
    if schema.as_u64() != Some(u64::from(SCHEMA)) {
        let what =
            format!("it is of version {schema}, and this command reads version {SCHEMA}: boot again to make it anew");
        return Err(refused(what));
    }
    // From the text again, because errors then name the line.
    let mut report: Report = serde_json::from_slice(&bytes).map_err(|error| refused(problem(&error)))?;
    clean_report(&mut report);
    Ok(report)
}

/// What is wrong with a text, in the words of who wanted to read a report.
fn problem(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => format!("it is cut off at line {}", error.line()),
        Category::Syntax => format!("it is not JSON: {error}"),
        Category::Data | Category::Io => format!("it is JSON, but not a report: {error}"),
    }
}

fn clean_report(report: &mut Report) {
    let Report { machine, image, image_version, cpus, left_out, proofs, calls, guest, stages, .. } = report;
    let mut texts = vec![machine, image, image_version];
    texts.extend(
        cpus.iter_mut().flat_map(|cpu| cpu.reason.iter_mut().chain(cpu.events.iter_mut().map(|event| &mut event.name))),
    );
    texts.extend(left_out.iter_mut().flat_map(|left_out| [&mut left_out.node, &mut left_out.reason]));
    texts.extend(calls.iter_mut().flat_map(|call| iter::once(&mut call.function).chain(&mut call.code_name)));
    texts.extend(proofs.iter_mut().flat_map(|proof| [&mut proof.name, &mut proof.detail]));
    texts.extend(guest.iter_mut().flat_map(|guest| iter::once(&mut guest.name).chain(&mut guest.ended)));
    for text in texts {
        if !text.chars().all(is_harmless) {
            *text = clean(text);
        }
    }
    stages.iter_mut().for_each(clean_report);
}

/// `text` without the characters that XML forbids or that would disturb what stands around them.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if is_harmless(character) { character } else { '\u{fffd}' }).collect()
}

fn is_harmless(character: char) -> bool {
    // Among these are the marks that turn the direction of the text around them.
    const INVISIBLE: [std::ops::RangeInclusive<char>; 5] = [
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
        '\u{fff0}'..='\u{ffff}',
    ];
    let replacement = character == '\u{fffd}';
    let invisible = character == '\u{61c}' || INVISIBLE.iter().any(|range| range.contains(&character));
    replacement || !(character.is_control() || invisible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn hostile_characters_are_replaced() {
        let hostile = "a\0b\x1bc\nd\u{202e}e\u{fffe}f<&>\"é";
        let cleaned = "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f<&>\"é";
        assert_eq!(clean(hostile), cleaned);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let mut report = sample::dead_cpu();
        report.cpus[1].reason = Some(hostile.into());
        report.cpus[0].events[0].name = hostile.into();
        report.machine = hostile.into();
        let stage = Report { image: hostile.into(), ..report.clone() };
        report.stages = vec![stage];
        std::fs::write(&path, report.to_json()).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read.machine, cleaned);
        assert_eq!(read.stages[0].image, cleaned);
        assert_eq!(read.cpus[1].reason.as_deref(), Some(cleaned));
        assert_eq!(read.cpus[0].events[0].name, cleaned);
    }

    #[test]
    fn a_written_report_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let report = sample::dead_cpu();
        std::fs::write(&path, report.to_json()).unwrap();
        assert_eq!(read(&path).unwrap(), report);
    }

    #[test]
    fn what_is_no_report_of_this_version_is_refused_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let whole = String::from_utf8(sample::two_cpus().to_json()).unwrap();
        let files = [
            (whole.replace("\"schema\": 1", "\"schema\": 2"), "version 2, and this command reads version 1"),
            (whole.replace("\"schema\": 1", "\"schema\": \"1\""), "version \"1\""),
            (whole.replace("\"schema\": 1,", ""), "without the member \"schema\""),
            (whole[..whole.len() / 2].to_owned(), "it is cut off at line"),
            (whole[..whole.len() - 2].to_owned(), "it is cut off at line"),
            (whole.replace("\"kick\"", "7"), "it is JSON, but not a report: invalid type"),
            (whole.replace("\"asked_count\"", "\"asked\""), "it is JSON, but not a report: unknown field `asked`"),
            ("[]".to_owned(), "without the member \"schema\""),
            (String::new(), "it is empty"),
            ("\n \n".to_owned(), "it is empty"),
            ("\0\u{1b}[31m".to_owned(), "it is not JSON"),
            ("CPU 5 never arrived".to_owned(), "it is not JSON"),
        ];
        for (text, expected) in files {
            std::fs::write(&path, text).unwrap();
            let refused = read(&path).unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.contains("report.json"), "{refused}");
            assert_eq!(refused.lines().count(), 1, "{refused}");
        }
        assert!(read(directory.path()).is_err());
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero")).is_err_and(|refused| refused.to_string().contains("larger than 256 MiB")));
        assert!(read(&directory.path().join("missing.json")).is_err());
    }
}
