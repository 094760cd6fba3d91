//! `examples/own-kernel`: somebody else's kernel, on the crates as they are packaged.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use object::{Object, ObjectSymbol, SymbolKind};
use reveille::{MAX_CPUS, Outcome, Smp, Topology};
use reveille_cli::console::Line;
use reveille_cli::image;
use reveille_cli::machine::MACHINES;
use reveille_cli::qemu::{self, Ending};
use reveille_system_tests::Stand;

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("own_kernel_brings_four_cpus_up_on_the_packaged_crates", brings_up),
    ("own_kernel_needs_at_most_40_lines_of_glue", |_| glue()),
    ("the_library_keeps_to_its_text_and_memory", budgets),
];

const CRATES: [&str; 2] = ["reveille", "reveille-aarch64"];
const LIMIT: Duration = Duration::from_secs(60);

/// Budgets: text of the library in a kernel, and memory for each CPU beside stacks and trace; bytes.
const TEXT: u64 = 12 * 1024;
const MEMORY_PER_CPU: usize = 256;

fn source_tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Builds the example on the packaged crates; the kernel's ELF file.
fn build(stand: &Stand) -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build_once(stand)).clone()
}

fn build_once(stand: &Stand) -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-kernel");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut package = Command::new(cargo);
    package.args(["package", "--no-verify", "--allow-dirty", "--quiet"]);
    package.args(CRATES.iter().flat_map(|name| ["--package", name])).arg("--target-dir").arg(&target);
    run(package.current_dir(source_tree()))?;

    let architecture = MACHINES[0].architecture();
    let mut build = image::cargo_build(stand.host(), architecture);
    build.current_dir(source_tree().join("examples/own-kernel")).arg("--target-dir").arg(&target);
    for name in CRATES {
        let folder = target.join("package").join(format!("{name}-{}", env!("CARGO_PKG_VERSION")));
        let archive = folder.with_file_name(format!("{name}-{}.crate", env!("CARGO_PKG_VERSION")));
        let parent = target.join("package");
        // With new times: those of the archive are always the same, and cargo would take old objects for fresh.
        run(Command::new("tar").arg("-xzmf").arg(&archive).arg("-C").arg(&parent))?;
        build.arg("--config").arg(format!("patch.crates-io.{name}.path={:?}", folder.display().to_string()));
    }
    run(&mut build)?;
    Ok(target.join(architecture.target).join("release/own-kernel"))
}

fn brings_up(stand: &Stand) -> Result<(), String> {
    let kernel = build(stand)?;
    let machine = &MACHINES[0];
    let kernel = kernel.to_string_lossy();
    let arguments = [
        "-machine",
        "virt,gic-version=3",
        "-cpu",
        machine.cpu_model,
        "-smp",
        "4",
        "-m",
        machine.memory,
        "-nic",
        "none",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-monitor",
        "none",
        "-no-reboot",
        "-semihosting-config",
        "enable=on,target=native",
        "-kernel",
        &kernel,
    ];
    let arguments = arguments.map(str::to_owned);
    let mut console = Vec::new();
    let finished = qemu::run(stand.qemu(), &arguments, LIMIT, |line| {
        if let Line::Text(text) = line {
            console.push(text);
        }
    });
    let finished = finished.map_err(|error| error.to_string())?;
    let said = format!("{}{}", console.join("\n"), finished.messages);
    if finished.ending != Ending::Exited(Some(0)) {
        return Err(format!("it should end well, and ended with {:?}:\n{said}", finished.ending));
    }
    let silent = (0..4).find(|cpu| !said.contains(&format!("CPU {cpu} ({cpu:#x}): online")));
    silent.map_or(Ok(()), |cpu| Err(format!("CPU {cpu} should be online:\n{said}")))
}

fn glue() -> Result<(), String> {
    let file = source_tree().join("examples/own-kernel/src/glue.rs");
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    if lines <= 40 { Ok(()) } else { Err(format!("the glue has {lines} lines")) }
}

fn budgets(stand: &Stand) -> Result<(), String> {
    let bytes = std::fs::read(build(stand)?).map_err(|error| error.to_string())?;
    let elf = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
    let of_library = |kind| {
        elf.symbols()
            .filter(move |symbol| symbol.kind() == kind && symbol.name().is_ok_and(|name| name.contains("reveille")))
    };
    let text: u64 = of_library(SymbolKind::Text).map(|symbol| symbol.size()).sum();
    if text == 0 || text > TEXT {
        return Err(format!("the library has {text} bytes of text, and should have 1 to {TEXT}"));
    }
    let table = of_library(SymbolKind::Data).find(|symbol| symbol.name().is_ok_and(|name| name.contains("TABLE")));
    let table = table.ok_or("the kernel has no boot table")?.size() as usize;
    let shared = size_of::<Smp>() + size_of::<Topology>() + table;
    let memory = shared / MAX_CPUS + size_of::<Outcome>();
    println!("library: {text} bytes of text, {memory} bytes a CPU");
    if memory > MEMORY_PER_CPU {
        Err(format!("a CPU takes {memory} bytes, and should take {MEMORY_PER_CPU}"))
    } else {
        Ok(())
    }
}
