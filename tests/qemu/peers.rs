//! Other systems beside ours in a bench: the real ones, since only they know what their consoles say.

use reveille_cli::bench::peer::PeerRequest;
use reveille_cli::bench::{self, Bench, BenchOptions, Row};
use reveille_cli::machine::{MACHINES, Machine};
use reveille_system_tests::Stand;

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[("a_peer_that_is_another_system_is_told_by_its_console", not_the_peer)];

/// Those that fetch what they need, and take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("a_peer_linux_is_measured_beside_the_kernel", |stand| beside(stand, "virt", "linux", CPUS, true)),
    ("a_peer_xen_is_measured_beside_the_kernel", |stand| beside(stand, "virt", "xen", CPUS, false)),
    ("malta_a_peer_linux_is_measured_beside_the_kernel", |stand| beside(stand.malta()?, "malta", "linux", 2, false)),
];

const CPUS: u32 = 4;

fn beside(stand: &Stand, machine: &str, name: &str, cpus: u32, counts: bool) -> Result<(), String> {
    let machine = Machine::find(machine).map_err(|error| error.to_string())?;
    let peer = name.parse::<PeerRequest>()?.prepare(machine).map_err(|error| error.to_string())?;
    let options = BenchOptions { machine, cpus: vec![cpus], runs: 1, spans: false, peers: vec![peer] };
    let bench = bench::run(stand.host(), &options, &mut |_| {}).map_err(|error| error.to_string())?;
    let (peer, kernel) = (row(&bench, name)?, row(&bench, "kernel")?);
    if peer.time.minimum <= 0.0 || !peer.note.contains("in that time it also") {
        return Err(format!("the row should have a time and say what it holds: {peer:?}"));
    }
    match (peer.instructions_per_cpu, kernel.instructions_per_cpu) {
        (None, Some(_)) if !counts => Ok(()),
        (Some(peer), Some(kernel)) if counts && peer > kernel => Ok(()),
        (peer, kernel) => Err(format!("{name} counts {peer:?} instructions a CPU, and the kernel {kernel:?}")),
    }
}

fn row<'a>(bench: &'a Bench, subject: &str) -> Result<&'a Row, String> {
    let row = bench.rows.iter().find(|row| row.subject == subject);
    row.ok_or_else(|| format!("there should be a row of {subject}: {:?}", bench.rows))
}

fn not_the_peer(stand: &Stand) -> Result<(), String> {
    let request: PeerRequest = format!("lk={}", stand.image().flat.display()).parse()?;
    let peer = request.prepare(&MACHINES[0]).map_err(|error| error.to_string())?;
    let said = match peer.phase(CPUS) {
        Ok(phase) => return Err(format!("the kernel should not pass for LK, and did, with {phase} ns")),
        Err(error) => error.to_string(),
    };
    let expected = ["lk with 4 CPUs cannot be measured", "does not show \"ARM: starting cpu\"", "its last line is"];
    let missing = expected.iter().find(|expected| !said.contains(**expected));
    missing.map_or(Ok(()), |missing| Err(format!("{said:?} should say {missing:?}")))
}
