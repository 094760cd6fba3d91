//! A guest with vCPUs that run, a hypervisor that does as it is told, and what must hold whatever they do.
//!
//! If kicks come at once, everything is held against the reference. If they come late, what a vCPU sees is late too; then no
//! interrupt may be lost, none taken more often than it was made pending, and none that was withdrawn may come back.

use std::mem;

use vgic::{AccessSize, SgiGroup, VcpuSet, Vgic, vcpu_of};

use crate::reference::Interrupt;
use crate::step::{ACTORS, Block, Step, Words};

const VCPUS: usize = 18;
/// Those that run, and one of those that do not.
const OBSERVED: [usize; 4] = [ACTORS[0], ACTORS[1], ACTORS[2], 2];
const SPIS: usize = 64;
const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const STATE: u64 = PENDING | ACTIVE;
const EOI: u64 = 1 << 41;
const GROUP_1: u64 = 1 << 60;
/// A vCPU that takes everything.
const TAKES_ALL: u64 = 0xff << 24 | 0b11;

/// A vCPU, and the CPU that it runs on.
#[derive(Default)]
struct Actor {
    running: bool,
    kicked: bool,
    list_registers: Vec<u64>,
    hcr: u64,
    vmcr: u64,
    /// What it took and has not ended, and at which priority.
    taken: Vec<(u32, u8)>,
}

/// What is known of an interrupt when kicks come late.
#[derive(Clone, Copy, Default)]
struct Account {
    made_pending: usize,
    taken: usize,
    /// Made pending, and neither taken nor withdrawn since.
    owed: bool,
    /// Withdrawn, and not made pending since.
    withdrawn: bool,
}

pub struct World {
    vgic: Vgic,
    reference: Vec<Interrupt>,
    accounts: Vec<Account>,
    control: u64,
    actors: Vec<Actor>,
    prompt: bool,
    /// The vCPUs that were told of something in this step, or came from the guest and look themselves.
    told: VcpuSet,
}

impl World {
    pub fn new(list_registers: usize, prompt: bool) -> Self {
        let private = |vcpu| (0..32).map(move |intid| Interrupt::new(vcpu, intid < 16));
        let reference: Vec<_> =
            (0..VCPUS).flat_map(private).chain((0..SPIS).map(|_| Interrupt::new(0, false))).collect();
        let actor = |_| Actor { list_registers: vec![0; list_registers], vmcr: TAKES_ALL, ..Actor::default() };
        Self {
            vgic: Vgic::new(VCPUS, SPIS).unwrap(),
            accounts: vec![Account::default(); reference.len()],
            reference,
            control: 0,
            actors: (0..VCPUS).map(actor).collect(),
            prompt,
            told: VcpuSet::EMPTY,
        }
    }

    /// Does all these steps.
    pub fn run(steps: impl IntoIterator<Item = Step>, list_registers: usize, prompt: bool) {
        let mut world = Self::new(list_registers, prompt);
        world.start();
        for step in steps {
            world.step(step);
        }
        world.step(Step::Compare);
    }

    /// All is enabled, the second half of the SPIs is edge-triggered, priorities differ, and vCPUs run.
    fn start(&mut self) {
        // Nothing is to be checked yet.
        let prompt = mem::take(&mut self.prompt);
        let by = ACTORS[0];
        let blocks = ACTORS.into_iter().map(Block::Private).chain([0, 1].map(Block::Spis));
        for block in blocks {
            self.step(Step::WriteWords { by, words: Words::SetEnable, block, value: u32::MAX });
            for interrupt in 0..32 {
                let priority = (interrupt * 40) as u8;
                self.step(Step::WritePriority { by, block, interrupt, priority });
            }
        }
        for half in 0..2 {
            self.step(Step::WriteConfig { by, block: Block::Spis(1), half, value: u32::MAX });
        }
        self.step(Step::WriteControl { by, control: 0b11 });
        for vcpu in ACTORS {
            self.step(Step::Toggle(vcpu));
        }
        self.prompt = prompt;
    }

    pub fn step(&mut self, step: Step) {
        self.told = VcpuSet::EMPTY;
        if !self.prompt {
            self.act(step);
            return;
        }
        let could_take = OBSERVED.map(|vcpu| self.vgic.has_deliverable(vcpu, TAKES_ALL));
        self.act(step);
        for vcpu in ACTORS {
            self.maintenance(vcpu);
        }
        self.deliver_kicks();
        for (vcpu, could_take) in OBSERVED.into_iter().zip(could_take) {
            self.check(vcpu, could_take);
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::WriteWords { by, words, block, value } => {
                self.outside(by, |world| world.write_words(words, block, value));
            }
            Step::WritePriority { by, block, interrupt, priority } => self.outside(by, |world| {
                world.at(block, interrupt).priority = priority & 0xf8;
                world.write(block, 0x400 + interrupt as u64, AccessSize::Byte, priority.into());
            }),
            Step::WriteConfig { by, block, half, value } => self.outside(by, |world| {
                let fixed = matches!((block, half), (Block::Private(_), 0));
                for interrupt in (0..16).filter(|_| !fixed) {
                    world.at(block, 16 * half + interrupt).edge = value >> (2 * interrupt + 1) & 1 != 0;
                }
                let offset = 0xc00 + 4 * half as u64 + 8 * block.number();
                world.write_at(block, offset, AccessSize::Word, value.into());
            }),
            Step::WriteRouter { by, spi, affinity } => self.outside(by, |world| {
                world.at(Block::Spis(spi / 32), spi % 32).target = vcpu_of(affinity).filter(|vcpu| *vcpu < VCPUS);
                let told = world.vgic.write_distributor(0x6100 + 8 * spi as u64, AccessSize::Doubleword, affinity);
                world.tell(told);
            }),
            Step::WriteControl { by, control } => self.outside(by, |world| {
                world.control = control;
                let told = world.vgic.write_distributor(0, AccessSize::Word, control);
                world.tell(told);
            }),
            Step::SetPpi { vcpu, intid, high } => {
                self.line(32 * vcpu + intid as usize, high);
                let told = self.vgic.set_ppi(vcpu, intid, high);
                self.tell(told);
            }
            Step::SetSpi { spi, high } => {
                self.line(32 * VCPUS + spi, high);
                let told = self.vgic.set_spi(32 + spi as u32, high);
                self.tell(told);
            }
            Step::SendSgi { by, value, group_1 } => self.outside(by, |world| world.send_sgi(by, value, group_1)),
            Step::SetVmcr { vcpu, vmcr } => self.actors[vcpu].vmcr = vmcr,
            Step::Toggle(vcpu) => {
                if self.actors[vcpu].running {
                    self.exit(vcpu);
                } else {
                    self.enter(vcpu);
                }
            }
            Step::Acknowledge(vcpu) => self.acknowledge(vcpu),
            Step::End(vcpu) => self.end(vcpu),
            Step::Deactivate { by, intid } => self.outside(by, |world| world.deactivate(by, intid)),
            Step::Kick(vcpu) => self.take_kick(vcpu),
            Step::Compare => {
                for vcpu in ACTORS {
                    self.exit(vcpu);
                }
                self.compare();
            }
        }
    }

    fn at(&mut self, block: Block, interrupt: usize) -> &mut Interrupt {
        &mut self.reference[block.first() + interrupt]
    }

    /// Writes to the word of a block in a bank.
    fn write(&mut self, block: Block, offset: u64, size: AccessSize, value: u64) {
        let width = if offset < 0x400 { 4 } else { 32 };
        let offset = offset + if let Block::Spis(_) = block { width * block.number() } else { 0 };
        self.write_at(block, offset, size, value);
    }

    fn write_at(&mut self, block: Block, offset: u64, size: AccessSize, value: u64) {
        let told = match block {
            Block::Private(vcpu) => self.vgic.write_redistributors(frame(vcpu) + offset, size, value),
            Block::Spis(_) => self.vgic.write_distributor(offset, size, value),
        };
        self.tell(told);
    }

    fn write_words(&mut self, words: Words, block: Block, value: u32) {
        for interrupt in 0..32 {
            let set = value >> interrupt & 1 != 0;
            let reference = self.at(block, interrupt);
            match words {
                Words::Group => reference.group_1 = set,
                _ if !set => {}
                Words::SetEnable => reference.enabled = true,
                Words::ClearEnable => reference.enabled = false,
                Words::SetPending => {
                    reference.latch = true;
                    self.account(block.first() + interrupt);
                }
                Words::ClearPending => {
                    reference.latch = false;
                    let account = &mut self.accounts[block.first() + interrupt];
                    (account.owed, account.withdrawn) = (false, true);
                }
                Words::SetActive => reference.activate(reference.target),
                Words::ClearActive => reference.active = false,
            }
        }
        self.write(block, words as u64, AccessSize::Word, value.into());
    }

    fn line(&mut self, index: usize, high: bool) {
        if self.reference[index].set_line(high) {
            self.account(index);
        }
    }

    fn account(&mut self, index: usize) {
        let account = &mut self.accounts[index];
        account.made_pending += 1;
        (account.owed, account.withdrawn) = (true, false);
    }

    fn send_sgi(&mut self, by: usize, value: u64, group_1: bool) {
        let intid = (value >> 24 & 0xf) as usize;
        for vcpu in 0..VCPUS {
            let cluster = (value >> 16 & 0xff) as usize;
            let listed = vcpu / 16 == cluster && value >> (vcpu % 16) & 1 != 0;
            let meant = if value >> 40 & 1 != 0 { vcpu != by } else { listed };
            let reference = self.at(Block::Private(vcpu), intid);
            if meant && reference.group_1 == group_1 {
                reference.latch = true;
                self.account(32 * vcpu + intid);
            }
        }
        let group = if group_1 { SgiGroup::Group1 } else { SgiGroup::Group0 };
        let told = self.vgic.send_sgi(by, group, value);
        self.tell(told);
    }

    fn deactivate(&mut self, by: usize, intid: u32) {
        if let Some(index) = index(by, intid) {
            let reference = &mut self.reference[index];
            reference.active &= reference.owner != Some(by);
        }
        let told = self.vgic.deactivate(by, intid);
        self.tell(told);
    }

    fn tell(&mut self, told: VcpuSet) {
        self.told |= told;
        for vcpu in told.iter() {
            self.actors[vcpu].kicked |= self.actors[vcpu].running;
        }
    }

    /// A vCPU leaves the guest for a trap, and comes back.
    fn outside(&mut self, vcpu: usize, trap: impl FnOnce(&mut Self)) {
        let running = self.actors[vcpu].running;
        self.exit(vcpu);
        trap(self);
        if running {
            self.enter(vcpu);
        }
    }

    fn enter(&mut self, vcpu: usize) {
        let actor = &mut self.actors[vcpu];
        actor.hcr = self.vgic.fill(vcpu, actor.vmcr, &mut actor.list_registers);
        (actor.running, actor.kicked) = (true, false);
    }

    fn exit(&mut self, vcpu: usize) {
        let actor = &mut self.actors[vcpu];
        if !actor.running {
            return;
        }
        (actor.running, actor.kicked) = (false, false);
        self.told |= VcpuSet::one(vcpu);
        let told = self.vgic.sync(vcpu, &actor.list_registers, actor.hcr);
        self.tell(told);
    }

    fn take_kick(&mut self, vcpu: usize) {
        if self.actors[vcpu].kicked {
            self.outside(vcpu, |_| {});
        }
    }

    fn deliver_kicks(&mut self) {
        while let Some(vcpu) = self.actors.iter().position(|actor| actor.kicked) {
            self.take_kick(vcpu);
        }
    }

    /// A vCPU reads ICC_IAR0_EL1 or ICC_IAR1_EL1.
    fn acknowledge(&mut self, vcpu: usize) {
        let actor = &mut self.actors[vcpu];
        let running_priority = actor.taken.last().map_or(0x100, |(_, priority)| u16::from(*priority));
        let vmcr = actor.vmcr;
        let best = actor
            .list_registers
            .iter_mut()
            .filter(|register| is_offered(**register) && is_taken(**register, vmcr))
            .min_by_key(|register| priority(**register));
        let Some(register) =
            best.filter(|register| actor.running && u16::from(priority(**register)) < running_priority)
        else {
            return;
        };
        *register ^= STATE;
        let (intid, priority) = (*register as u32, priority(*register));
        actor.taken.push((intid, priority));
        let index = index(vcpu, intid).expect("a list register has an interrupt that exists");
        if self.prompt {
            let reference = &self.reference[index];
            let lowered = !reference.edge && !reference.line;
            let due = reference.is_for(vcpu, self.control) || lowered && !reference.active;
            assert!(due, "{intid} was not to be taken by {vcpu}: {reference:?}");
        }
        self.reference[index].acknowledge(vcpu);
        self.accounts[index].taken += 1;
        self.accounts[index].owed = false;
        self.maintenance(vcpu);
    }

    /// A vCPU writes ICC_EOIR0_EL1 or ICC_EOIR1_EL1, with what it took last.
    fn end(&mut self, vcpu: usize) {
        let actor = &mut self.actors[vcpu];
        let Some((intid, _)) = actor.taken.last().copied().filter(|_| actor.running) else {
            return;
        };
        actor.taken.pop();
        let held =
            actor.list_registers.iter_mut().find(|register| **register & STATE != 0 && **register as u32 == intid);
        match held {
            Some(register) => {
                if *register & ACTIVE != 0 {
                    self.reference[index(vcpu, intid).unwrap()].active = false;
                }
                *register &= !ACTIVE;
            }
            None => {
                actor.hcr += 1 << 27;
                self.end_left_out(vcpu);
            }
        }
        self.maintenance(vcpu);
    }

    /// An interrupt was ended that is in no list register: the active one of the highest priority is, by contract.
    fn end_left_out(&mut self, vcpu: usize) {
        let held = |intid| {
            self.actors[vcpu].list_registers.iter().any(|register| *register & STATE != 0 && *register as u32 == intid)
        };
        let active = (0..32 + SPIS as u32).filter(|intid| {
            let reference = &self.reference[index(vcpu, *intid).unwrap()];
            reference.active && reference.owner == Some(vcpu) && !held(*intid)
        });
        let first = active.min_by_key(|intid| self.reference[index(vcpu, *intid).unwrap()].priority);
        if let Some(intid) = first {
            self.reference[index(vcpu, intid).unwrap()].active = false;
        }
    }

    /// Leaves the guest if a maintenance interrupt says so.
    fn maintenance(&mut self, vcpu: usize) {
        let actor = &self.actors[vcpu];
        let asked = |bit: u32| actor.hcr >> bit & 1 != 0;
        let ended = actor.list_registers.iter().any(|register| register & STATE == 0 && register & EOI != 0);
        let none_pending = !actor.list_registers.iter().any(|register| is_offered(*register));
        let group_changed = (0..2).any(|group| asked(4 + 2 * group + u32::from(actor.vmcr >> group & 1 == 0)));
        if actor.running && (ended || asked(2) && actor.hcr >> 27 != 0 || asked(3) && none_pending || group_changed) {
            self.outside(vcpu, |_| {});
        }
    }

    /// What must hold of a vCPU after every step, if kicks come at once.
    fn check(&self, vcpu: usize, could_take: bool) {
        let can_take = self.vgic.has_deliverable(vcpu, TAKES_ALL);
        let wanted = self.due(vcpu);
        if self.actors[vcpu].running {
            self.check_running(vcpu, &wanted);
        } else {
            assert_eq!(can_take, !wanted.is_empty(), "{vcpu}: {wanted:?}");
            assert!(could_take || !can_take || self.told.contains(vcpu), "{vcpu} was not told");
        }
    }

    /// What a vCPU is to take, by INTID.
    fn due(&self, vcpu: usize) -> Vec<u32> {
        let own = self.reference[32 * vcpu..][..32].iter().chain(&self.reference[32 * VCPUS..]);
        let due = (0..).zip(own).filter(|(_, interrupt)| interrupt.is_for(vcpu, self.control));
        due.map(|(intid, _)| intid).collect()
    }

    fn check_running(&self, vcpu: usize, wanted: &[u32]) {
        let actor = &self.actors[vcpu];
        let reference = |intid| &self.reference[index(vcpu, intid).unwrap()];
        for (number, register) in actor.list_registers.iter().enumerate().filter(|(_, register)| *register & STATE != 0)
        {
            let intid = *register as u32;
            let twin = actor.list_registers[..number].iter().any(|other| other & STATE != 0 && *other as u32 == intid);
            assert!(!twin, "{intid} is in two list registers");
            assert_eq!(register & ACTIVE != 0, reference(intid).active, "{intid} is active, or not, on {vcpu}");
            assert!(reference(intid).edge || register & STATE != STATE, "{intid} is a level, both pending and active");
            let lowered = !reference(intid).edge && !reference(intid).line;
            assert!(!is_offered(*register) || wanted.contains(&intid) || lowered, "{intid} is offered to {vcpu}");
        }
        let taken = |intid: &&u32| actor.vmcr >> u32::from(reference(**intid).group_1) & 1 != 0;
        let best = wanted.iter().filter(taken).map(|intid| reference(*intid).priority).min();
        let offered = actor.list_registers.iter().filter(|register| is_offered(**register));
        let best_offered = offered
            .filter(|register| actor.vmcr >> u32::from(**register & GROUP_1 != 0) & 1 != 0)
            .map(|register| priority(*register))
            .min();
        // A level that was lowered may still be offered, and be the first.
        assert!(
            best.is_none() || best_offered.is_some_and(|offered| Some(offered) <= best),
            "{vcpu} is offered the best"
        );
    }

    /// What the registers say, once no vCPU runs.
    fn compare(&self) {
        for number in 0..self.reference.len() / 32 {
            let read = |offset| match number.checked_sub(VCPUS) {
                None => self.vgic.read_redistributors(frame(number) + offset, AccessSize::Word),
                Some(spis) => self.vgic.read_distributor(offset + 4 + 4 * spis as u64, AccessSize::Word),
            };
            let (pending, active) = (read(0x200), read(0x300));
            for interrupt in 0..32 {
                let account = &self.accounts[32 * number + interrupt];
                let reference = &self.reference[32 * number + interrupt];
                let is_pending = pending >> interrupt & 1 != 0;
                assert!(is_pending || !account.owed, "{number}: {interrupt} was lost");
                if self.prompt {
                    assert_eq!(is_pending, reference.pending(), "{number}: {interrupt}: {reference:?}");
                    assert_eq!(active >> interrupt & 1 != 0, reference.active, "{number}: {interrupt}: {reference:?}");
                }
                if number < VCPUS && interrupt < 16 {
                    assert!(account.taken <= account.made_pending, "{number}: {interrupt} was doubled");
                    assert!(!(is_pending && account.withdrawn), "{number}: {interrupt} came back");
                }
            }
        }
    }
}

impl Block {
    /// The number of a block of SPIs in the distributor's registers.
    const fn number(self) -> u64 {
        match self {
            Self::Private(_) => 0,
            Self::Spis(number) => 1 + number as u64,
        }
    }

    /// Where its interrupts begin in the reference.
    const fn first(self) -> usize {
        match self {
            Self::Private(vcpu) => 32 * vcpu,
            Self::Spis(number) => 32 * (VCPUS + number),
        }
    }
}

/// Where an interrupt is in the reference.
fn index(vcpu: usize, intid: u32) -> Option<usize> {
    match intid {
        0..32 => Some(32 * vcpu + intid as usize),
        32..96 => Some(32 * VCPUS + intid as usize - 32),
        _ => None,
    }
}

const fn frame(vcpu: usize) -> u64 {
    0x2_0000 * vcpu as u64 + 0x1_0000
}

const fn priority(register: u64) -> u8 {
    (register >> 48) as u8
}

const fn is_offered(register: u64) -> bool {
    register & STATE == PENDING
}

/// Whether a vCPU takes what is in a list register: its group and its priority.
fn is_taken(register: u64, vmcr: u64) -> bool {
    vmcr >> u32::from(register & GROUP_1 != 0) & 1 != 0 && u64::from(priority(register)) < vmcr >> 24
}
