//! What the arguments of `reveille boot` ask of the simulation, and which of them mean nothing to it.

use super::BootCommand;
use crate::enable_method::EnableMethod;
use crate::error::Error;
use crate::fault::GivenFault;
use crate::simulation::{self, SimulationOptions};
use crate::stack::Stack;

impl BootCommand {
    /// The simulation that they ask for; `None` for a machine that runs.
    ///
    /// # Errors
    /// [`Error::NotSimulated`] and [`Error::OnlySimulated`] for options of the one kind with the other, and those of
    /// [`SimulationOptions::check`].
    pub fn simulation(&self) -> Result<Option<SimulationOptions>, Error> {
        let Self { boot, seed } = self;
        if boot.machine != simulation::NAME {
            return seed.map_or(Ok(None), |_| Err(Error::OnlySimulated { option: "--seed" }));
        }
        let given = [
            ("--stack", boot.stack != Stack::default()),
            ("--enable-method", boot.enable_method != EnableMethod::default()),
            ("--hand-over", boot.hand_over.is_some()),
            ("--payload", boot.payload.is_some()),
            ("--guest", !boot.guest.is_empty()),
            ("--initrd", boot.initrd.is_some()),
            ("--ready", boot.ready.is_some()),
            ("--dtb", boot.dtb.is_some()),
            ("--interactive", boot.interactive),
            ("--timeout", boot.timeout.is_some()),
            ("--el", boot.el.is_some()),
            ("--gic", boot.gic.is_some()),
            ("--cpu-model", boot.cpu_model.is_some()),
            ("--format", boot.format.is_some()),
            ("--qemu-arg", !boot.qemu_arg.is_empty()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Error::NotSimulated { option });
        }
        let options = SimulationOptions {
            cpus: boot.cpus,
            policy: boot.policy,
            append: boot.append.clone(),
            deadline: boot.deadline,
            faults: boot.fault.iter().map(GivenFault::simulated).collect::<Result<_, _>>()?,
            seed: seed.unwrap_or_default(),
        };
        options.check()?;
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Action;
    use super::super::tests::read;
    use super::*;

    fn simulation(line: &str) -> Result<Option<SimulationOptions>, Error> {
        match read(line) {
            Ok(Action::Boot(arguments)) => arguments.simulation(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_simulation_is_named_and_has_options_of_its_own() {
        let line =
            "reveille boot --machine sim --cpus 8 --seed 3 --fault cpu2:late:200ms --fault cpu1:dead --deadline 2";
        let expected = SimulationOptions {
            cpus: 8,
            deadline: Some(Duration::from_secs(2)),
            faults: ["cpu2:late:200ms", "cpu1:dead"].map(|fault| fault.parse().unwrap()).into(),
            seed: 3,
            ..SimulationOptions::default()
        };
        assert_eq!(simulation(line).unwrap(), Some(expected));
        for (line, option) in [
            ("--machine sim --gic 2", "--gic"),
            ("--machine sim --interactive", "--interactive"),
            ("--machine sim --format elf", "--format"),
            ("--machine sim --ready up", "--ready"),
            ("--seed 1", "--seed"),
        ] {
            let refused = simulation(&format!("reveille boot {line}")).unwrap_err().to_string();
            assert!(refused.contains(option), "{refused}");
        }
        assert!(read("reveille boot --machine sim --fault cpu1:sleepy").is_err());
    }
}
