//! What happens to a guest's interrupt controller, decoded from bytes: for random tests and for a fuzzer.

/// vCPUs that run; others exist, and only receive.
pub const ACTORS: [usize; 3] = [0, 1, 17];

/// The registers with one bit for each interrupt, by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    Group = 0x080,
    SetEnable = 0x100,
    ClearEnable = 0x180,
    SetPending = 0x200,
    ClearPending = 0x280,
    SetActive = 0x300,
    ClearActive = 0x380,
}

const WORDS: [Words; 7] = [
    Words::Group,
    Words::SetEnable,
    Words::ClearEnable,
    Words::SetPending,
    Words::ClearPending,
    Words::SetActive,
    Words::ClearActive,
];

/// A block of 32 interrupts.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// SGIs and PPIs of a vCPU.
    Private(usize),
    /// The SPIs from INTID 32 or 64 on.
    Spis(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    WriteWords {
        by: usize,
        words: Words,
        block: Block,
        value: u32,
    },
    WritePriority {
        by: usize,
        block: Block,
        interrupt: usize,
        priority: u8,
    },
    WriteConfig {
        by: usize,
        block: Block,
        half: usize,
        value: u32,
    },
    WriteRouter {
        by: usize,
        spi: usize,
        affinity: u64,
    },
    WriteControl {
        by: usize,
        control: u64,
    },
    SetPpi {
        vcpu: usize,
        intid: u32,
        high: bool,
    },
    SetSpi {
        spi: usize,
        high: bool,
    },
    SendSgi {
        by: usize,
        value: u64,
        group_1: bool,
    },
    SetVmcr {
        vcpu: usize,
        vmcr: u64,
    },
    /// A vCPU leaves the guest and stays outside, or enters it.
    Toggle(usize),
    Acknowledge(usize),
    End(usize),
    Deactivate {
        by: usize,
        intid: u32,
    },
    /// A vCPU that was kicked leaves the guest and enters it again.
    Kick(usize),
    /// All vCPUs leave the guest, and what the registers say is compared.
    Compare,
}

/// A few of the SPIs, of which the second half is edge-triggered at first.
const fn few(number: u8) -> usize {
    [0, 1, 2, 8, 32, 33, 34, 40][number as usize % 8]
}

impl Step {
    pub fn decode(bytes: [u8; 8]) -> Self {
        let [kind, a, b, c, d, e, f, g] = bytes;
        let by = ACTORS[usize::from(a % 3)];
        let block = match b % 5 {
            3 => Block::Spis(0),
            4 => Block::Spis(1),
            actor => Block::Private(ACTORS[usize::from(actor)]),
        };
        // Few interrupts, so that much happens to each, or any.
        let value = u32::from_le_bytes([d, e, f, g]);
        let value = value & [0x0800_0007, 0x0800_0007, 0x0001_0100, u32::MAX][usize::from(c % 4)];
        let vcpu = by;
        match kind % 20 {
            0..4 => Self::WriteWords { by, words: WORDS[usize::from(a / 3 % 7)], block, value },
            4 => {
                let interrupt = value.trailing_zeros() as usize % 32;
                Self::WritePriority { by, block, interrupt, priority: c }
            }
            5 => Self::WriteConfig { by, block, half: usize::from(a / 3 % 2), value },
            6 => {
                let affinity = [0, 1, 0x101, 0x10, 0x1_0000, 0x200][usize::from(d % 6)];
                Self::WriteRouter { by, spi: few(c), affinity }
            }
            7 => Self::WriteControl { by, control: [0b11, 0b10, 0b11, 0b00][usize::from(c % 4)] },
            8 => Self::SetPpi { vcpu, intid: 24 + u32::from(c % 4), high: d & 1 != 0 },
            9 => Self::SetSpi { spi: few(c), high: d & 1 != 0 },
            10 => {
                let cluster = u64::from(e & 1) << 16;
                let others = if f % 8 == 0 { 1 << 40 } else { 0 };
                let value = others | cluster | u64::from(c % 16) << 24 | u64::from(d & 0b11);
                Self::SendSgi { by, value, group_1: g % 4 != 0 }
            }
            11 => Self::SetVmcr { vcpu, vmcr: u64::from(c | 0x40) << 24 | u64::from(d & 0b11) },
            12 => Self::Toggle(vcpu),
            13..16 => Self::Acknowledge(vcpu),
            16..18 => Self::End(vcpu),
            18 if c % 4 == 0 => Self::Deactivate { by, intid: [0, 1, 27, 32, 40, 64, 72, 99][usize::from(d % 8)] },
            18 => Self::Kick(vcpu),
            _ => Self::Compare,
        }
    }
}
