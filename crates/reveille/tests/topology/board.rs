//! A blob that the devicetree compiler wrote, of a board with a bit of everything.

use reveille::HwId;
use reveille::topology::{FdtOptions, Placement, Reason};

use super::trees::{Reading, options};

const BOARD: &[u8] = include_bytes!("board.dtb");

#[test]
fn rows_47_to_56_a_board_of_two_clusters() {
    let reading = Reading::of_blob(BOARD, &FdtOptions { boot_cpu: HwId(0x100), ..options() });
    assert_eq!(reading.ids(), [0x100, 0, 1, 0x1_0000_0000, 0x103]);
    assert_eq!(reading.methods(), [None, Some(0), Some(1), Some(0), Some(0)]);
    assert_eq!(reading.left_out, [("cpu@102".into(), Some(0x102), Reason::Status)]);

    let cpus = reading.topology.cpus();
    let nodes: Vec<_> = cpus.iter().map(|cpu| cpu.numa_node).collect();
    assert_eq!(nodes, [Some(1), Some(0), Some(0), Some(1), None]);
    let addresses: Vec<_> = cpus.iter().map(|cpu| cpu.release_address).collect();
    assert_eq!(addresses, [None, None, Some(0x8000_fff8), None, None]);
    let place = |cluster, core, thread| Some(Placement { cluster, core, thread });
    let places: Vec<_> = cpus.iter().map(|cpu| cpu.placement).collect();
    assert_eq!(places, [place(1, 0, 0), place(0, 0, 0), place(0, 1, 0), place(1, 0, 1), None]);
}
