//! What is measured on which machine, as data. A machine more is an entry in [`MEASURED`].

use super::BenchError;
use crate::image::{self, ImageKind};
use crate::machine::Machine;

/// A machine on which a bench measures.
#[derive(Debug)]
pub struct Measured {
    /// Its name.
    pub machine: &'static str,
    /// With how many CPUs where nobody says.
    pub cpus: &'static [u32],
    /// What is measured, the kernel last.
    pub subjects: &'static [Subject],
    /// The place among them of what times are compared with, if there is such a thing.
    pub floor: Option<usize>,
    /// Why subjects are not there that other machines have.
    pub without: Option<&'static str>,
    /// How instructions are counted.
    pub counting: Counting,
    /// Nanoseconds of QEMU's clock in one of the report's.
    pub clock: f64,
}

/// How QEMU is made to count instructions: one is a nanosecond of its clock.
#[derive(Debug)]
pub struct Counting {
    /// The property of the CPU model with which a timer shows each; without one it shows several at a time.
    pub property: Option<&'static str>,
    /// QEMU's further arguments.
    pub arguments: [&'static str; 2],
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is called in tables.
    pub name: &'static str,
    /// The image.
    pub image: &'static ImageKind,
    /// What it is told on its command line.
    pub append: &'static str,
    /// What it is, for people.
    pub note: &'static str,
}

/// Every machine on which a bench measures.
pub const MEASURED: &[Measured] = &[VIRT, MALTA];

const VIRT: Measured = Measured {
    machine: "virt",
    cpus: &[4, 16, 64, 128, 256, 512],
    subjects: &[
        Subject {
            name: "bare floor",
            image: &image::YARDSTICK,
            append: "yardstick=bare",
            note: "assembly that only starts CPUs, each of which only counts itself",
        },
        Subject {
            name: "online floor",
            image: &image::YARDSTICK,
            append: "yardstick=online",
            note: "the same, with MMU, interrupt controller and timer switched on",
        },
        Subject {
            name: "library alone",
            image: &image::YARDSTICK,
            append: "yardstick=library",
            note: "the library, without hotplug steps and without a trace",
        },
        Subject {
            name: "kernel",
            image: &image::KERNEL,
            append: "",
            note: "the reference kernel, with all its hotplug steps and its trace",
        },
    ],
    floor: Some(1),
    without: None,
    counting: Counting { property: Some("cntfrq=1000000000"), arguments: ["-icount", "shift=0"] },
    clock: 1.0,
};

const MALTA: Measured = Measured {
    machine: "malta",
    cpus: &[2, 4, 8, 16],
    subjects: &[Subject {
        name: "kernel",
        image: &image::MIPS_KERNEL,
        append: "",
        note: "the reference kernel, with all its hotplug steps and its trace, under its boot ROM, whose instructions are in the \
               count",
    }],
    floor: None,
    without: Some("the floors and the library alone are not measured on malta: they are an image for arm64"),
    // While CPUs sleep, the clock goes on by the next timer, not by the host's clock.
    counting: Counting { property: None, arguments: ["-icount", "shift=0,sleep=off"] },
    // A tick of Count is 6 ns. The kernel is told the CPU's speed in whole MHz, 333, and takes it for 1000 / 166.5.
    clock: 6.0 * 166.5 / 1000.0,
};

/// What is measured on `machine`.
///
/// # Errors
/// [`BenchError::NotMeasured`].
pub fn on(machine: &Machine) -> Result<&'static Measured, BenchError> {
    let measured = MEASURED.iter().find(|measured| measured.machine == machine.name);
    measured.ok_or_else(|| BenchError::NotMeasured {
        machine: machine.name,
        known: MEASURED.iter().map(|measured| measured.machine).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::MACHINES;

    #[test]
    fn every_machine_that_is_measured_is_one_that_boots_its_kernel() {
        for measured in MEASURED {
            let machine = Machine::find(measured.machine).unwrap();
            assert_eq!(measured.subjects.last().unwrap().image, machine.image, "{}", machine.name);
            assert!(measured.cpus.iter().all(|&cpus| machine.check_cpus(cpus).is_ok()), "{}", machine.name);
            assert!(measured.floor.is_none_or(|floor| floor < measured.subjects.len()), "{}", machine.name);
        }
    }

    #[test]
    fn a_machine_that_is_not_measured_is_told_from_those_that_are() {
        let raspi3b = MACHINES.iter().find(|machine| machine.name == "raspi3b").unwrap();
        let error = on(raspi3b).unwrap_err().to_string();
        assert_eq!(error, "nothing is measured on the machine raspi3b (there is: virt, malta)");
    }
}
