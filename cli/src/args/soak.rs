//! The arguments of `reveille soak`.

use std::time::Duration;

use clap::Args;

use super::BootArguments;
use super::boot::ask;
use crate::boot::BootOptions;
use crate::error::Error;

/// How long a request may take unless the user says: a busy host should not decide how a soak ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a cycle may take at the most, on a busy host.
const TIME_PER_CYCLE: Duration = Duration::from_millis(50);

/// The arguments of `reveille soak`.
#[derive(Debug, Args)]
pub struct SoakArguments {
    /// How many times a CPU is taken down and brought back
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub cycles: u32,
    /// What the choices of CPUs and requests begin with; the interleaving is the machine's
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// On what.
    #[command(flatten)]
    pub boot: BootArguments,
}

impl SoakArguments {
    /// What they ask for.
    ///
    /// # Errors
    /// Those of [`BootArguments::options`].
    pub fn options(&self) -> Result<BootOptions, Error> {
        let mut options = self.boot.options()?;
        if options.stack.system().is_foreign() {
            return Err(Error::SoakElsewhere { stack: options.stack });
        }
        if options.cpus < 2 {
            return Err(Error::NothingToSoak);
        }
        options.deadline.get_or_insert(PATIENCE);
        let timeout = options.limit() + TIME_PER_CYCLE * self.cycles;
        options.timeout = self.boot.timeout.or(Some(timeout));
        ask(&mut options, &format!("reveille.soak={} reveille.seed={}", self.cycles, self.seed));
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::super::tests::read;
    use super::*;

    #[test]
    fn a_soak_is_a_boot_that_is_told_to_and_has_time_for_it() {
        let Ok(Action::Soak(arguments)) = read("reveille soak --cycles 30000 --seed 7 --cpus 8 --append nosuch") else {
            panic!("no soak")
        };
        let options = arguments.options().unwrap();
        assert_eq!(options.append.as_deref(), Some("nosuch reveille.soak=30000 reveille.seed=7"));
        assert!(options.cpus == 8 && options.limit() > Duration::from_secs(1_500));
        let Ok(Action::Soak(alone)) = read("reveille soak --cpus 1") else { panic!("no soak") };
        assert!(matches!(alone.options(), Err(Error::NothingToSoak)));
        for stack in ["firmware,linux", "hypervisor,linux"] {
            let Ok(Action::Soak(foreign)) = read(&format!("reveille soak --stack {stack}")) else { panic!("no soak") };
            assert!(matches!(foreign.options(), Err(Error::SoakElsewhere { .. })), "{stack}");
        }
    }
}
