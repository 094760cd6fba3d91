//! `reveille inspect` on the devicetree of every board that Debian's arm64 Linux supports. They are fetched once, which is why
//! these tests run on demand: `cargo test -p reveille-cli --test inspect_corpus -- --ignored --nocapture`.

mod linux;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use reveille_cli::fetch;
use serde_json::Value;
use tempfile::TempDir;

/// How long all boards may take.
const LIMIT: Duration = Duration::from_secs(5);

static CORPUS: LazyLock<(TempDir, Vec<PathBuf>)> = LazyLock::new(|| {
    let archive = fetch::debian_devicetrees().expect("Debian's devicetrees");
    let folder = tempfile::tempdir().unwrap();
    let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(tar.is_ok_and(|status| status.success()));
    let mut files = Vec::new();
    collect(folder.path(), &mut files);
    files.sort();
    assert!(files.len() > 1_000, "{} devicetrees", files.len());
    (folder, files)
});

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "dtb") {
            files.push(path);
        }
    }
}

/// Inspects all boards in one call, and says how long that took.
fn inspect() -> (Value, Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(["inspect", "--json"]).args(&CORPUS.1);
    let start = Instant::now();
    let output = command.output().unwrap();
    let time = start.elapsed();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), error.as_str()), (Some(1), ""));
    (serde_json::from_slice(&output.stdout).unwrap(), time)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
#[ignore = "fetches 93 MB"]
fn every_board_is_inspected_in_seconds() {
    // The fastest of some, since the host may be busy.
    let (results, time) = (0..3).map(|_| inspect()).min_by_key(|(_, time)| *time).unwrap();
    let boards = list(&results["inspections"]);
    let mut kinds: BTreeMap<String, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for board in boards {
        for finding in list(&board["findings"]) {
            let kind = format!("{} {}", finding["severity"].as_str().unwrap(), finding["kind"].as_str().unwrap());
            let (count, boards) = kinds.entry(kind).or_default();
            *count += 1;
            boards.insert(board["file"].as_str().unwrap());
        }
    }
    let cpus: Vec<&Value> = boards.iter().flat_map(|board| list(&board["cpus"])).collect();
    let up = cpus.iter().filter(|cpu| cpu["can_come_up"] == true).count();
    println!("{} devicetrees, {} CPUs, of which {up} can come up, in {time:.2?}", boards.len(), cpus.len());
    for (kind, (count, boards)) in kinds {
        println!("{kind}: {count} in {} devicetrees", boards.len());
    }
    assert_eq!(boards.len(), CORPUS.1.len());
    assert!(time < LIMIT, "{time:?}");
}

#[test]
#[ignore = "fetches 93 MB; needs dtc"]
fn rows_47_to_52_the_masks_are_those_of_linux() {
    if Command::new("dtc").arg("--version").output().is_err() {
        eprintln!("skipped: there is no dtc (Debian's package device-tree-compiler)");
        return;
    }
    let (results, _) = inspect();
    let mut cpus = 0;
    for board in list(&results["inspections"]) {
        let file = board["file"].as_str().unwrap();
        let root = source::decompile(Path::new(file));
        let expected = linux::init_cpus(&root, board["boot_cpu"]["id"].as_u64().unwrap());
        let number = |cpu: &Value, name: &str| cpu[name].as_u64();
        let mut possible: Vec<_> =
            list(&board["cpus"]).iter().filter_map(|cpu| Some((number(cpu, "index")?, number(cpu, "id")?))).collect();
        possible.sort_unstable();
        let present: BTreeSet<u64> = list(&board["cpus"])
            .iter()
            .filter(|cpu| cpu["can_come_up"] == true)
            .map(|cpu| number(cpu, "id").unwrap())
            .collect();
        // The library leaves CPUs out of its possible mask for what the tree says of them; a release address is its method's.
        let possible: Vec<u64> = possible.into_iter().map(|(_, id)| id).collect();
        assert_eq!(possible, expected.mapped, "{file}");
        assert_eq!(present, expected.present, "{file}");
        let conduit = board["psci"]["conduit"].as_str();
        assert_eq!(conduit, expected.conduit.as_deref(), "{file}");
        cpus += possible.len();
    }
    println!("{} devicetrees with {cpus} CPUs: the same masks and conduits", list(&results["inspections"]).len());
}
