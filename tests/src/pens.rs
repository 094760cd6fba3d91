//! CPUs in pens, as a boot loader leaves them on machines without firmware that could start them.

use crate::stub::Stub;

/// Where the pen of the boot loader lies. Reserve it, up to [`PENS_END`], in the devicetree.
pub const PEN: u64 = 0x4f00_0000;
/// The end of the pen and of the words that CPUs wait for.
pub const PENS_END: u64 = 0x4f01_0000;

/// WFE; LDR X9, [X0]; CBZ X9, back; MOV X0 to X3, #0; BR X9.
const INSTRUCTIONS: [u32; 8] =
    [0xd503_205f, 0xf940_0009, 0xb4ff_ffc9, 0xd280_0000, 0xd280_0001, 0xd280_0002, 0xd280_0003, 0xd61f_0120];

/// The word in the pen's memory that the CPU with this number may wait for.
#[must_use]
pub fn word(number: u64) -> u64 {
    PEN + 0x1000 + number * 8
}

/// A boot loader that puts CPUs into pens: each with its id and the address of the word that lets it out.
#[must_use]
pub fn loader(cpus: &[(u64, u64)]) -> Stub {
    let mut stub = Stub::default();
    for (place, instruction) in (0..).zip(INSTRUCTIONS) {
        stub = stub.store(PEN + place * 4, instruction);
    }
    for &(id, word) in cpus {
        stub = stub.store(word, 0).store(word + 4, 0).start_cpu(id, PEN, word);
    }
    stub
}
