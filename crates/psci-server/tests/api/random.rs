//! Calls at random from CPUs at random: the server never panics, answers only with documented codes, and is at every moment in the
//! state that a simple account of the calls that succeeded comes to. So a call that was refused changed nothing.

use proptest::prelude::*;
use psci_server::{Answer, CpuState, Entry, LegacyIds, Policy, PowerState, PowerStateFormat, Resumed};

use crate::board::*;

#[derive(Clone, Debug)]
enum Action {
    Call { caller: usize, registers: [u64; 4], fails: bool },
    Enter(usize),
    Resume(usize),
}

const LEGACY: LegacyIds = LegacyIds { cpu_suspend: Some(1), cpu_off: Some(2), cpu_on: Some(3) };

fn function() -> impl Strategy<Value = u64> {
    let common = [CPU_ON, CPU_ON, CPU_ON_32, CPU_OFF, CPU_OFF, CPU_SUSPEND, CPU_SUSPEND_32, AFFINITY_INFO];
    prop_oneof![
        12 => prop::sample::select(common.to_vec()),
        3 => (0..0x20_u64).prop_map(|function| 0x8400_0000 | function),
        3 => (0..0x20_u64).prop_map(|function| 0xc400_0000 | function),
        2 => 0..5_u64,
        1 => 0x8000_0000..0x8000_0003_u64,
        1 => any::<u64>(),
    ]
}

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => prop::sample::select(IDS.to_vec()),
        6 => Just(ENTRY.address),
        4 => 0..6_u64,
        2 => prop::sample::select(vec![1 << 16 | 2, 1 << 30 | 2, ENTRY.address | 1, MEMORY.end, 0x8400_0003]),
        1 => any::<u64>(),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let registers = (function(), argument(), argument(), any::<u64>()).prop_map(|(x0, x1, x2, x3)| [x0, x1, x2, x3]);
    // CPU 6 does not exist.
    let call = (0..7_usize, registers, prop::bool::weighted(0.1));
    prop_oneof![
        6 => call.prop_map(|(caller, registers, fails)| Action::Call { caller, registers, fails }),
        3 => (0..7_usize).prop_map(Action::Enter),
        1 => (0..7_usize).prop_map(Action::Resume),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let versions = vec![Policy::V0_2, Policy::V1_0, Policy::V1_1, Policy::v0_1(LEGACY)];
    let format = prop::sample::select(vec![PowerStateFormat::Original, PowerStateFormat::Extended]);
    (prop::sample::select(versions), any::<bool>(), format).prop_map(|(policy, legacy, power_state_format)| {
        let legacy_ids = if legacy { LEGACY } else { policy.legacy_ids };
        Policy { legacy_ids, power_state_format, ..policy }
    })
}

/// The codes with which a function may be refused.
fn documented(policy: &Policy, x0: u64) -> &'static [i64] {
    match (x0 as u32, policy.version) {
        (1, _) => &[-1, -2, -3],
        (2, _) => &[-1, -3],
        (3, _) => &[-1, -2, -3],
        (0x8400_0001 | 0xc400_0001, _) => &[-1, -2, -3, -9],
        (0x8400_0002, _) => &[-1, -3],
        (0x8400_0003 | 0xc400_0003, psci_server::Version::V0_2) => &[-1, -2, -4, -5, -6],
        (0x8400_0003 | 0xc400_0003, _) => &[-1, -2, -4, -5, -6, -9],
        (0x8400_0004 | 0xc400_0004, _) => &[-1, -2],
        _ => &[-1],
    }
}

/// What the calls that succeeded come to: the state of each CPU, and what it goes on with.
struct Account {
    states: [CpuState; CPUS],
    entries: [Option<Entry>; CPUS],
}

impl Account {
    /// What an answer says has changed.
    fn take(&mut self, caller: usize, [x0, x1, x2, x3]: [u64; 4], answer: Answer) {
        let function = x0 as u32;
        let narrow = [CPU_ON_32 as u32, CPU_SUSPEND_32 as u32].contains(&function);
        let [x1, x2, x3] = [x1, x2, x3].map(|x| if narrow { u64::from(x as u32) } else { x });
        let entry = Entry { address: x2, context_id: x3 };
        match answer {
            Answer::Off => self.states[caller] = CpuState::Off,
            Answer::Suspended(state) => {
                self.states[caller] = CpuState::Suspended;
                self.entries[caller] = matches!(state, PowerState::PowerDown(_)).then_some(entry);
            }
            SUCCESS if [3, CPU_ON as u32, CPU_ON_32 as u32].contains(&function) => {
                let target = IDS.iter().position(|id| *id == x1).unwrap();
                assert_eq!(self.states[target], CpuState::Off);
                self.states[target] = CpuState::OnPending;
                self.entries[target] = Some(entry);
            }
            _ => {}
        }
    }

    fn enter(&mut self, cpu: usize) -> Option<Entry> {
        if cpu >= CPUS || self.states[cpu] != CpuState::OnPending {
            return None;
        }
        self.states[cpu] = CpuState::On;
        self.entries[cpu]
    }

    fn resume(&mut self, cpu: usize) -> Option<Resumed> {
        if cpu >= CPUS || self.states[cpu] != CpuState::Suspended {
            return None;
        }
        self.states[cpu] = CpuState::On;
        Some(self.entries[cpu].map_or(Resumed::Return(0), Resumed::Enter))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_calls_are_answered_as_documented(
        policy in policy(),
        actions in prop::collection::vec(action(), 1..200),
    ) {
        let server = with_policy(policy);
        let mut account = Account { states: [CpuState::Off; CPUS], entries: [None; CPUS] };
        account.states[0] = CpuState::On;
        for action in actions {
            match action {
                Action::Call { caller, registers, fails } => {
                    server.platform().fails.set(fails);
                    let answer = server.handle(caller, registers);
                    if let Answer::Return(x0) = answer && (x0 as i64) < 0 {
                        prop_assert!(documented(&policy, registers[0]).contains(&(x0 as i64)), "{answer:?}");
                    }
                    if matches!(answer, Answer::Off | Answer::Suspended(_)) {
                        prop_assert_eq!(account.states[caller], CpuState::On);
                        prop_assert!(!fails);
                    }
                    account.take(caller, registers, answer);
                }
                Action::Enter(cpu) => prop_assert_eq!(server.enter(cpu), account.enter(cpu)),
                Action::Resume(cpu) => prop_assert_eq!(server.resume(cpu), account.resume(cpu)),
            }
            prop_assert_eq!(states(&server), account.states);
        }
        for cpu in 0..CPUS {
            prop_assert_eq!(server.enter(cpu), account.enter(cpu));
            prop_assert_eq!(server.resume(cpu), account.resume(cpu));
        }
    }
}
