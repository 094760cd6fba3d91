//! What can be wrong with a devicetree: [`Kind`] has a name, a [`Severity`], what it means and what to change.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use Severity::{Error, Note, Warning};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A CPU cannot come up.
    Error,
    /// It can, but something about it is wrong, or some kernels stumble over it.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Error => "error",
            Warning => "warning",
            Note => "note",
        }
    }
}

/// Something that is wrong or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// The path of the node that it is about.
    pub node: String,
    /// What is the matter with that node, in particular.
    pub problem: String,
}

impl Finding {
    /// A finding about `node`.
    #[must_use]
    pub fn new(kind: Kind, node: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { kind, node: node.into(), problem: problem.into() }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 6)?;
        fields.serialize_field("severity", &self.severity())?;
        fields.serialize_field("kind", self.kind.name())?;
        fields.serialize_field("node", &self.node)?;
        fields.serialize_field("problem", &self.problem)?;
        fields.serialize_field("meaning", self.kind.meaning())?;
        fields.serialize_field("change", self.kind.change())?;
        fields.end()
    }
}

/// Makes [`Kind`] from one table.
macro_rules! kinds {
    ($($kind:ident $name:literal $severity:ident $meaning:literal $change:literal)*) => {
        /// The kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $meaning] $kind,)*
        }

        impl Kind {
            /// All of them, the worst first.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name, as in the JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$kind => $severity),* }
            }

            /// What it means for the CPUs.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$kind => $meaning),* }
            }

            /// What to change.
            #[must_use]
            pub const fn change(self) -> &'static str {
                match self { $(Self::$kind => $change),* }
            }
        }
    };
}

kinds! {
    NoCpus "no-cpus" Error
        "The kernel knows of no CPU but the one that runs it."
        "Give the root a node `cpus` with a node for each CPU. An overlay is inspected after it was applied."
    AddressCells "address-cells" Error
        "Ids of CPUs have one or two cells, so none can be read."
        "Set #address-cells in /cpus to 1, or to 2 for ids above 32 bits."
    BootCpuMissing "boot-cpu-missing" Error
        "The tree does not name the CPU that boots, so the kernel trusts nothing it says of the others, and runs on one."
        "Make `reg` of the boot CPU's node the affinity fields of its MPIDR_EL1, which the kernel prints first of all."
    BadReg "bad-reg" Error
        "The CPU has no id by which it could be started; the kernel leaves it out."
        "Make `reg` one id, with as many cells as #address-cells in /cpus says."
    BadId "bad-id" Error
        "The id has bits that are no affinity field, so no CPU has it; the kernel leaves it out."
        "Take bits 39:32 and 23:0 of MPIDR_EL1: bit 31, U and MT are no part of an id."
    DuplicateId "duplicate-id" Error
        "Two nodes claim one CPU; the first counts, and the other CPU is never started."
        "Give each node the id of its own CPU."
    Status "status" Error
        "The tree says that the CPU cannot be used, so the kernel leaves it out."
        "If the CPU works, take `status` away. Firmware sets it too: compare with the tree that the kernel was given."
    NoMethod "no-method" Error
        "Nothing says how the CPU is started; the kernel leaves it out."
        "Set `enable-method` to \"psci\", or to \"spin-table\" with cpu-release-addr. Where the boot loader does that, inspect the tree that the kernel was given."
    UnknownMethod "unknown-method" Error
        "The kernel does not know how to start the CPU that way; it leaves it out."
        "arm64 knows \"psci\" and \"spin-table\"; the many others of 32-bit boards do not exist there."
    TooManyCpus "too-many-cpus" Error
        "There are more CPUs than the library was built for; those at the end are left out."
        "Build it with a larger REVEILLE_MAX_CPUS (CONFIG_NR_CPUS, for Linux)."
    ThirtyTwoBit "32-bit-cpu" Error
        "The CPU executes 32-bit code only; it faults on the first instruction of a 64-bit kernel, if firmware starts it at all."
        "Take its node out, or boot a 32-bit kernel."
    PsciMissing "psci-missing" Error
        "CPUs are to be started by PSCI, and there is no firmware to ask."
        "Add a node `psci` to the root or to /firmware, compatible with \"arm,psci-1.0\" or \"arm,psci-0.2\", with its `method`. Where firmware adds it, inspect the tree that the kernel was given."
    PsciConduit "psci-conduit" Error
        "Nothing says how firmware is called, and a wrong guess would crash; no CPU is started by PSCI."
        "Set `method` of the psci node to \"smc\" (firmware at EL3), or to \"hvc\" (a hypervisor)."
    PsciNoCpuOn "psci-no-cpu-on" Error
        "PSCI 0.1 has no fixed function ids, and the node gives none for CPU_ON; no CPU is started by PSCI."
        "Add `cpu_on = <id>`, or, if firmware has version 0.2 or later, make the node compatible with that."
    ReleaseMissing "release-address-missing" Error
        "The CPU polls a word in memory, and nothing says which; it stays in its pen."
        "Add `cpu-release-addr` with two cells. Where firmware adds it, inspect the tree that the kernel was given."
    ReleaseZero "release-address-zero" Error
        "Linux takes 0 for \"not filled in\" and does not start the CPU."
        "Firmware is to fill in where it left the word: inspect the tree that the kernel was given."
    ReleaseMisaligned "release-address-misaligned" Error
        "The word is to be written at once, which takes an address that is a multiple of 8; the CPU could see half of it."
        "Have firmware poll an aligned word."
    ReleaseNotReserved "release-address-not-reserved" Warning
        "The kernel may use this memory for something else, over the pen that the CPU waits in; it then runs wild, or never comes."
        "Reserve the word and the pen's code by /memreserve/, or by a node in /reserved-memory."
    ReleaseOneCell "release-address-one-cell" Warning
        "Linux wants two cells, and does not start the CPU; the library takes one."
        "Write it with two cells: `<0x0 ADDRESS>`."
    SecondMethod "second-method" Warning
        "Linux reads the first string of `enable-method` only, and does not know it; the library takes the first that is known."
        "Put the method that works first."
    BootCpuStatus "boot-cpu-status" Warning
        "The CPU that boots is said not to work. The library ignores that, since it runs; Linux 6.12 does not find its boot CPU then, and starts no other."
        "Take `status` away."
    PsciNoCpuOff "psci-no-cpu-off" Warning
        "CPUs come up, and cannot be switched off again."
        "Add `cpu_off = <id>` to the psci node."
    AddressCellsMissing "address-cells-missing" Warning
        "/cpus does not say how many cells an id has; the root's number is taken, which is about other addresses."
        "Set #address-cells in /cpus."
    MapPhandle "cpu-map-phandle" Warning
        "An entry of cpu-map names no CPU. Where it names nothing at all, Linux ignores the map as a whole: the CPUs come up, and are scheduled as if they shared no cache."
        "Have `cpu` point to the node of a CPU."
    MapTwice "cpu-map-twice" Warning
        "cpu-map places one CPU twice; which place is taken depends on the kernel."
        "Name each CPU once."
    MapMissing "cpu-map-missing" Warning
        "The CPU is not in cpu-map. Linux then ignores the map as a whole: the CPUs come up, and are scheduled as if they shared no cache."
        "Add the CPU to cpu-map, or take the map away."
    MapShape "cpu-map-shape" Warning
        "cpu-map has a shape that Linux does not follow. It ignores a part of the map, or all of it: the CPUs come up, and are scheduled as if they shared no cache."
        "Nest socketN (or none), clusterN, coreN and threadN (or none), each counted from 0."
    Disabled "disabled" Note
        "For a CPU, \"disabled\" says that it waits until its method starts it: it is used. Only \"fail\" keeps it from being used."
        "Nothing, unless it was to be left out."
    BootCpuNoMethod "boot-cpu-no-method" Note
        "The boot CPU needs no method to boot, but it cannot be switched off and on without one."
        "Give it the `enable-method` of the others."
    UnitAddress "unit-address" Note
        "The number in the node's name is not the CPU's id. Only people read it, and they may name the wrong CPU."
        "Name the node after `reg`, in hexadecimal."
    NoDeviceType "no-device-type" Note
        "It is taken for a CPU by its name alone; older Linux, such as 4.12, does not see it."
        "Add `device_type = \"cpu\"`."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_and_stand_in_the_order_of_their_severity() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.is_sorted_by_key(|kind| kind.severity()));
    }
}
