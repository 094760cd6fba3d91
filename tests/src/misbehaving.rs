//! Boots in which CPUs misbehave: [`Scenario`], for the kernel that is built for them, and what became of it, [`Misbehaved`].
//!
//! They run on QEMU's virtual clock, where an instruction takes 32 ns and CPUs take turns: how long something takes in them
//! does not depend on the host, and a wait costs next to nothing.

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::report::{Outcome, Proof, Report};
use reveille_sim::fault::PSCI_CODES;

use crate::{Booted, Stand};

/// How long the kernel waits for CPUs here.
pub const DEADLINE: Duration = Duration::from_secs(1);
/// How much longer it may take until the end of a wait is noticed.
pub const SLACK: Duration = Duration::from_millis(10);
/// How many proofs there are of a boot, before the script and once more behind it.
const PROOFS: usize = 3;

/// What goes wrong, and what is asked for afterwards.
#[derive(Clone, Copy)]
pub struct Scenario<'a> {
    /// How many CPUs there are.
    pub cpus: u32,
    /// `cpu2:late:200ms` and the like (images/kernel, `fault.rs`).
    pub faults: &'a [&'a str],
    /// `on:2` and the like (images/kernel, `fault/script.rs`).
    pub script: &'a [&'a str],
}

/// What became of a scenario.
pub struct Misbehaved<'a> {
    booted: Booted,
    stand: &'a Stand,
}

/// What a request of the script came to.
pub struct Answer<'a> {
    proof: &'a Proof,
    booted: &'a Booted,
    stand: &'a Stand,
}

/// The codes of PSCI and one that there is not, and the name of each in a report.
pub fn psci_codes() -> impl Iterator<Item = (i64, &'static str)> {
    PSCI_CODES.into_iter().map(|(name, code)| (code, name)).chain([(-77, "unknown code")])
}

impl Scenario<'_> {
    /// Boots it. The kernel must come to its end, every wait for CPUs must be bounded, and all CPUs that are online must work, before
    /// the script and behind it.
    ///
    /// # Errors
    /// What is not so.
    pub fn run<'a>(&self, stand: &'a Stand) -> Result<Misbehaved<'a>, String> {
        self.run_with(stand, |_| ())
    }

    /// The same on another machine: `change` changes what is booted.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn run_with<'a>(
        &self,
        stand: &'a Stand,
        change: impl FnOnce(&mut BootOptions),
    ) -> Result<Misbehaved<'a>, String> {
        let run = self.boot(stand, change)?;
        let failed = run.report()?.proofs.iter().find(|proof| is_of_the_kernel(proof) && !proof.passed);
        run.booted.expect(failed.is_none(), "the CPUs that are online should work")?;
        Ok(run)
    }

    /// The same where CPUs that are online do not work.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn run_unproven<'a>(&self, stand: &'a Stand) -> Result<Misbehaved<'a>, String> {
        self.boot(stand, |_| ())
    }

    fn boot<'a>(&self, stand: &'a Stand, change: impl FnOnce(&mut BootOptions)) -> Result<Misbehaved<'a>, String> {
        let mut words: Vec<String> = self.faults.iter().map(|fault| format!("reveille.fault={fault}")).collect();
        if !self.script.is_empty() {
            words.push(format!("reveille.script={}", self.script.join(",")));
        }
        let mut options = BootOptions {
            deadline: Some(DEADLINE),
            append: Some(words.join(" ")),
            qemu_arguments: vec!["-icount".into(), "shift=5,sleep=off".into()],
            ..stand.cpus(self.cpus)
        };
        change(&mut options);
        let has_firmware = options.stack.has_firmware();
        let image = if has_firmware { stand.faulty_image_under_firmware()? } else { stand.faulty_image()? };
        let run = Misbehaved { booted: stand.boot_image(image, &options)?, stand };
        run.check(self)?;
        Ok(run)
    }
}

fn is_of_the_kernel(proof: &Proof) -> bool {
    ["interrupts", "timers", "job"].contains(&proof.name.as_str())
}

impl Misbehaved<'_> {
    fn check(&self, scenario: &Scenario<'_>) -> Result<(), String> {
        let report = self.report()?;
        let again = if scenario.script.is_empty() { 0 } else { PROOFS };
        self.booted.expect(
            report.proofs.len() == PROOFS + scenario.script.len() + again,
            "the kernel should come to its end, and the script too",
        )?;
        self.booted.expect(
            self.waited()? <= 2 * DEADLINE + SLACK,
            "the bring-up should end by twice its deadline, however many CPUs misbehave",
        )
    }

    /// The boot.
    #[must_use]
    pub fn booted(&self) -> &Booted {
        &self.booted
    }

    /// Its report. CPUs are in it as they are after the script.
    ///
    /// # Errors
    /// There is none.
    pub fn report(&self) -> Result<&Report, String> {
        self.booted.report()
    }

    /// The time from the last kick of the boot to the end of the bring-up.
    ///
    /// # Errors
    /// The boot had no such times.
    pub fn waited(&self) -> Result<Duration, String> {
        let events = &self.report()?.cpus[0].events;
        let last_kick = events.iter().rfind(|event| event.name == "kick");
        let done = events.iter().find(|event| event.name == "smp_cpus_done");
        match (last_kick, done) {
            (Some(kick), Some(done)) => Ok(Duration::from_nanos(done.ns.saturating_sub(kick.ns))),
            // Nobody was kicked.
            (None, Some(_)) => Ok(Duration::ZERO),
            _ => Err(self.booted.complaint("the bring-up should have an end")),
        }
    }

    /// Complains unless the boot gave `cpu` this outcome, with this reason.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect_outcome(&self, cpu: usize, outcome: Outcome, reason: &str) -> Result<(), String> {
        let (found, reason) = (&self.report()?.cpus[cpu], self.stand.told(reason));
        let same = found.outcome == outcome && found.reason.as_deref().unwrap_or_default() == reason;
        self.booted.expect(same, &format!("CPU {cpu} should be {outcome:?}: {reason}"))
    }

    /// Complains unless all CPUs but these came up without a word.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect_others_online(&self, cpus: &[usize]) -> Result<(), String> {
        for cpu in (0..self.report()?.cpus.len()).filter(|cpu| !cpus.contains(cpu)) {
            self.expect_outcome(cpu, Outcome::Online, "")?;
        }
        Ok(())
    }

    /// What the request at `position` of the script came to.
    ///
    /// # Errors
    /// There was no such request.
    pub fn answer(&self, position: usize) -> Result<Answer<'_>, String> {
        let proof = self.report()?.proofs.get(PROOFS + position);
        let proof = proof.ok_or_else(|| self.booted.complaint("the script should have been executed"))?;
        Ok(Answer { proof, booted: &self.booted, stand: self.stand })
    }
}

impl Answer<'_> {
    /// What was said: what became of the request, for how long it took, and where the CPU is.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.proof.detail
    }

    fn complain_unless(&self, condition: bool, what: &str) -> Result<(), String> {
        self.booted.expect(condition, &format!("{} should {what}: {}", self.proof.name, self.proof.detail))
    }

    /// Complains unless the request came to this, by its deadline, and left the CPU there.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect(&self, passed: bool, result: &str, place: &str) -> Result<(), String> {
        let (result, place) = (&*self.stand.told(result), &*self.stand.told(place));
        let parts: Vec<&str> = self.proof.detail.split("; ").collect();
        let [said, time, at] = parts[..] else { return self.complain_unless(false, "have three parts") };
        self.complain_unless(self.proof.passed == passed && said == result, &format!("come to {result}"))?;
        self.complain_unless(at == place, &format!("leave the CPU {place}"))?;
        let microseconds = time.strip_suffix(" us").and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
        self.complain_unless(Duration::from_micros(microseconds) <= DEADLINE + SLACK, "end by its deadline")
    }

    /// Complains unless the request was carried out, and left the CPU there.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect_done(&self, place: &str) -> Result<(), String> {
        self.expect(true, "done", place)
    }

    /// Complains unless this was said.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect_text(&self, text: &str) -> Result<(), String> {
        let text = self.stand.told(text);
        self.complain_unless(self.proof.passed && self.proof.detail == text, &format!("say {text}"))
    }

    /// Complains unless this was complained of.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect_complaint(&self, text: &str) -> Result<(), String> {
        let text = self.stand.told(text);
        self.complain_unless(!self.proof.passed && self.proof.detail == text, &format!("complain: {text}"))
    }
}
