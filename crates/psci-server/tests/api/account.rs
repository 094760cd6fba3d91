//! What calls come to, said plainly: for calls at random and for a fuzzer.

use psci_server::{Answer, CpuState, Entry, LegacyIds, Policy, PowerState, Resumed};

use crate::board::*;

#[derive(Clone, Debug)]
pub enum Action {
    Call { caller: usize, registers: [u64; 4], fails: bool },
    Enter(usize),
    Resume(usize),
}

pub const LEGACY: LegacyIds = LegacyIds { cpu_suspend: Some(1), cpu_off: Some(2), cpu_on: Some(3) };

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

/// Does all that to a server with this policy: it answers only with documented codes, and is at every moment in the state that the
/// account comes to.
pub fn run(policy: Policy, actions: impl IntoIterator<Item = Action>) {
    let server = with_policy(policy);
    let mut account = Account { states: [CpuState::Off; CPUS], entries: [None; CPUS] };
    account.states[0] = CpuState::On;
    for action in actions {
        match action {
            Action::Call { caller, registers, fails } => {
                server.platform().fails.set(fails);
                let answer = server.handle(caller, registers);
                if let Answer::Return(x0) = answer
                    && (x0 as i64) < 0
                {
                    assert!(documented(&policy, registers[0]).contains(&(x0 as i64)), "{answer:?}");
                }
                if matches!(answer, Answer::Off | Answer::Suspended(_)) {
                    assert_eq!(account.states[caller], CpuState::On);
                    assert!(!fails);
                }
                account.take(caller, registers, answer);
            }
            Action::Enter(cpu) => assert_eq!(server.enter(cpu), account.enter(cpu)),
            Action::Resume(cpu) => assert_eq!(server.resume(cpu), account.resume(cpu)),
        }
        assert_eq!(states(&server), account.states);
    }
    for cpu in 0..CPUS {
        assert_eq!(server.enter(cpu), account.enter(cpu));
        assert_eq!(server.resume(cpu), account.resume(cpu));
    }
}
