//! Documents that name tests name those that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in the source tree")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of functions and of rows: what stands in backticks, or in quotes, and has several words.
fn names(text: &str, quote: char) -> BTreeSet<&str> {
    let is_name = |name: &&str| {
        name.contains('_')
            && name.chars().all(|letter| letter == '_' || letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    text.split(quote).filter(is_name).collect()
}

/// The cells of each row of the tables in docs/isolation.md that begins with a name.
fn isolation_rows(document: &str) -> Vec<Vec<&str>> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the source tree").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_isolation_table_has_what_the_hostile_guest_tries() {
    let document = read("docs/isolation.md");
    let documented: BTreeSet<&str> = isolation_rows(&document).iter().map(|row| row[0].trim_matches('`')).collect();
    let mut files = Vec::new();
    rust_files(&root().join("images/hostile-guest/src/rows"), &mut files);
    let sources: Vec<String> = files.iter().map(|file| fs::read_to_string(file).expect("a source file")).collect();
    let tables = sources.iter().filter_map(|source| source.split_once("ROWS: &[Row] =")?.1.split_once("];"));
    let tried: BTreeSet<&str> = tables.flat_map(|(table, _)| names(table, '"')).collect();
    assert!(tried.len() > 40, "{tried:?}");
    assert_eq!(documented, tried);
}

#[test]
fn every_test_that_the_isolation_table_names_is_there() {
    let document = read("docs/isolation.md");
    let on_qemu = read("tests/qemu/isolation.rs");
    let (_, rows) = on_qemu.split_once("rows! {\n").expect("the tests are a list");
    let rows: BTreeSet<&str> = rows.split('}').next().unwrap_or_default().split_ascii_whitespace().collect();
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    let on_host: Vec<String> = files.iter().map(|file| fs::read_to_string(file).expect("a source file")).collect();
    for row in isolation_rows(&document) {
        let [name, _, outcome, test] = row[..] else { panic!("a row has four cells: {row:?}") };
        let test = test.trim_matches('`');
        assert_eq!(test.strip_prefix("isolation_"), Some(name.trim_matches('`')), "a row has the test of its name");
        assert!(rows.contains(name.trim_matches('`')), "there is no test {test}");
        for name in names(outcome, '`') {
            let function = format!("fn {name}(");
            assert!(on_host.iter().any(|source| source.contains(&function)), "there is no test {name}");
        }
    }
}
