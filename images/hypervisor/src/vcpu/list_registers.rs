//! The virtual CPU interface of this CPU: ICH_LR<n>_EL2 and ICH_HCR_EL2. What is in them is decided by the crate `vgic`.

use super::context::{read_register, write_register};

/// The most that there can be.
pub const MOST: usize = 16;

/// How many this CPU has.
pub fn count() -> usize {
    (read_register!("s3_4_c12_c11_1") & 0x1f) as usize + 1
}

macro_rules! each {
    ($index:expr, $action:ident $(, $value:expr)?) => {
        match $index {
            0 => $action!("s3_4_c12_c12_0" $(, $value)?),
            1 => $action!("s3_4_c12_c12_1" $(, $value)?),
            2 => $action!("s3_4_c12_c12_2" $(, $value)?),
            3 => $action!("s3_4_c12_c12_3" $(, $value)?),
            4 => $action!("s3_4_c12_c12_4" $(, $value)?),
            5 => $action!("s3_4_c12_c12_5" $(, $value)?),
            6 => $action!("s3_4_c12_c12_6" $(, $value)?),
            7 => $action!("s3_4_c12_c12_7" $(, $value)?),
            8 => $action!("s3_4_c12_c13_0" $(, $value)?),
            9 => $action!("s3_4_c12_c13_1" $(, $value)?),
            10 => $action!("s3_4_c12_c13_2" $(, $value)?),
            11 => $action!("s3_4_c12_c13_3" $(, $value)?),
            12 => $action!("s3_4_c12_c13_4" $(, $value)?),
            13 => $action!("s3_4_c12_c13_5" $(, $value)?),
            14 => $action!("s3_4_c12_c13_6" $(, $value)?),
            _ => $action!("s3_4_c12_c13_7" $(, $value)?),
        }
    };
}

/// What the guest takes, as its ICC registers have it: ICH_VMCR_EL2 of the loaded vCPU.
pub fn vmcr() -> u64 {
    read_register!("s3_4_c12_c11_7")
}

/// Makes all of them 0, as they are outside guests from then on.
pub fn clear() {
    (0..count()).for_each(|index| each!(index, write_register, 0));
}

/// Puts `registers` into the first list registers, and switches the interface on as `hcr` says.
pub fn load(registers: &[u64], hcr: u64) {
    registers.iter().enumerate().for_each(|(index, &register)| each!(index, write_register, register));
    write_register!("s3_4_c12_c11_0", hcr);
}

/// Takes what is in the first list registers out of them and switches the interface off: what ICH_HCR_EL2 was.
pub fn save(registers: &mut [u64]) -> u64 {
    let hcr = read_register!("s3_4_c12_c11_0");
    write_register!("s3_4_c12_c11_0", 0);
    for (index, register) in registers.iter_mut().enumerate() {
        *register = each!(index, read_register);
        each!(index, write_register, 0);
    }
    hcr
}
