//! AFFINITY_INFO.

use psci_server::{Answer, PowerState};

use crate::board::*;

const ON: Answer = Answer::Return(0);
const OFF: Answer = Answer::Return(1);
const PENDING: Answer = Answer::Return(2);

fn info(server: &TestServer, id: u64, level: u64) -> Answer {
    server.handle(0, [AFFINITY_INFO, id, level, 0])
}

#[test]
fn row_30_affinity_info_tells_the_states_apart() {
    let server = server();
    assert_eq!(info(&server, IDS[0], 0), ON);
    assert_eq!(info(&server, IDS[1], 0), OFF);
    assert_eq!(switch_on(&server, 1), SUCCESS);
    assert_eq!(info(&server, IDS[1], 0), PENDING);
    assert!(server.enter(1).is_some());
    assert_eq!(info(&server, IDS[1], 0), ON);
}

#[test]
fn row_30_an_unknown_cpu_and_a_level_above_3_are_invalid_parameters() {
    let server = server();
    assert_eq!(info(&server, 0x002, 0), INVALID_PARAMETERS);
    assert_eq!(info(&server, IDS[1] | 1 << 31, 0), INVALID_PARAMETERS);
    for level in [4, 5, 0xffff_ffff] {
        assert_eq!(info(&server, IDS[0], level), INVALID_PARAMETERS);
    }
    assert_eq!(info(&server, IDS[0], 3), ON);
    // Callers of 32 bits have no fourth field.
    assert_eq!(server.handle(0, [AFFINITY_INFO_32, IDS[0], 3, 0]), INVALID_PARAMETERS);
    assert_eq!(server.handle(0, [AFFINITY_INFO_32, IDS[0], 2, 0]), ON);
}

#[test]
fn row_30_an_affinity_instance_is_what_its_cpus_are() {
    let server = server();
    // CPUs 1 and 2 are cluster 0, whatever the lowest field says.
    for id in [0x000, 0x001, 0x0ff] {
        assert_eq!(info(&server, id, 1), OFF);
    }
    assert_eq!(switch_on(&server, 2), SUCCESS);
    assert_eq!(info(&server, 0x000, 1), PENDING);
    bring_up(&server, 1);
    assert_eq!(info(&server, 0x000, 1), ON, "one is on, one on its way");
    assert!(server.enter(2).is_some());
    assert_eq!(server.handle(1, [CPU_OFF, 0, 0, 0]), Answer::Off);
    assert_eq!(info(&server, 0x000, 1), ON, "one is on, one off");
    assert_eq!(switch_on(&server, 1), SUCCESS);
    assert_eq!(info(&server, 0x000, 1), ON, "one is on its way, one on");
    assert!(server.enter(1).is_some());
    assert_eq!(server.handle(1, [CPU_OFF, 0, 0, 0]), Answer::Off);
    assert_eq!(server.handle(2, [CPU_OFF, 0, 0, 0]), Answer::Off);
    assert_eq!(info(&server, 0x000, 1), OFF);
}

#[test]
fn row_30_levels_take_in_what_is_below_them() {
    let server = server();
    assert_eq!(info(&server, 0xff, 1), OFF, "cluster 0");
    assert_eq!(info(&server, 0xffff, 2), ON, "clusters 0 and 1, where CPU 0 is");
    assert_eq!(info(&server, 0x2_ffff, 2), OFF, "CPU 5");
    assert_eq!(info(&server, 0xff_ffff, 3), ON, "all but CPU 4");
    assert_eq!(info(&server, 0x1_00ff_ffff, 3), OFF, "CPU 4");
    for (id, level) in [(0x200, 1), (0x3_0000, 2), (0x2_0000_0000, 3)] {
        assert_eq!(info(&server, id, level), INVALID_PARAMETERS, "nothing there");
    }
}

#[test]
fn row_31_a_suspended_cpu_is_on() {
    let server = server();
    bring_up_and_suspend(&server, 5);
    assert_eq!(info(&server, IDS[5], 0), ON);
    assert_eq!(info(&server, IDS[5], 2), ON);
    bring_up(&server, 4);
    let standby = Answer::Suspended(PowerState::StandbyOrRetention(1));
    assert_eq!(server.handle(4, [CPU_SUSPEND, 1, 0, 0]), standby);
    assert_eq!(info(&server, IDS[4], 3), ON);
}
