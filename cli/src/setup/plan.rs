//! Decides, from facts alone, what is to be done about a host that lacks something.

use crate::machine::Architecture;

/// The packages of Debian that build images with its own Rust.
pub const APT_RUST_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// Something that boots need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// QEMU for the architecture.
    Qemu,
    /// A Rust toolchain for the images.
    Toolchain,
    /// A linker for the images.
    Linker,
}

impl Need {
    /// What a list calls it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Qemu => "QEMU",
            Self::Toolchain => "Rust",
            Self::Linker => "linker",
        }
    }
}

/// What `needs` are called in a sentence.
#[must_use]
pub fn names(needs: &[Need], architecture: &Architecture) -> Vec<String> {
    let name = |need: &Need| match need {
        Need::Qemu => architecture.qemu.to_owned(),
        Need::Toolchain => format!("a Rust toolchain for {}", architecture.target),
        Need::Linker => "the linker ld.lld".to_owned(),
    };
    needs.iter().map(name).collect()
}

/// How a host installs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageManager {
    /// Debian and its descendants.
    Apt,
    /// Fedora.
    Dnf,
    /// Arch Linux.
    Pacman,
    /// macOS.
    Brew,
}

impl PackageManager {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Apt, Self::Dnf, Self::Pacman, Self::Brew];

    /// The program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Brew => "brew",
        }
    }

    fn install(self) -> &'static str {
        match self {
            Self::Apt => "apt-get install --no-install-recommends",
            Self::Dnf => "dnf install",
            Self::Pacman => "pacman -S",
            Self::Brew => "brew install",
        }
    }
}

/// How this process can become root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// It is.
    Root,
    /// With sudo, without a password.
    Sudo,
    /// Not at all.
    None,
}

/// Whether something may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Yes.
    Auto,
    /// If the person at the terminal agrees.
    Ask,
    /// If someone could be asked, but there is no terminal.
    NobodyToAsk,
    /// No.
    Never,
}

/// What `REVEILLE_SETUP` (`wish`) means on or off a terminal.
///
/// # Errors
/// A wish that makes no sense.
pub fn consent(wish: Option<&str>, terminal: bool) -> Result<Consent, String> {
    match (wish.unwrap_or_default(), terminal) {
        ("never", _) => Ok(Consent::Never),
        ("auto", _) | ("", false) => Ok(Consent::Auto),
        ("ask" | "", true) => Ok(Consent::Ask),
        ("ask", false) => Ok(Consent::NobodyToAsk),
        (other, _) => Err(other.to_owned()),
    }
}

/// What is known about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it lacks.
    pub missing: Vec<Need>,
    /// How it installs packages.
    pub manager: Option<PackageManager>,
    /// How this process can become root.
    pub privilege: Privilege,
    /// Whether rustup is there.
    pub rustup: bool,
    /// Whether apt offers [`APT_RUST_PACKAGES`], without removing anything for them.
    pub rust_source_packages: bool,
    /// Whether apt's lists of packages are there at all, and new enough to have what is missing.
    pub package_lists: bool,
    /// Whether something may be installed.
    pub consent: Consent,
}

impl Facts {
    /// Whether packages may and can be installed from here.
    #[must_use]
    pub fn may_install(&self) -> bool {
        self.manager == Some(PackageManager::Apt)
            && self.privilege != Privilege::None
            && matches!(self.consent, Consent::Auto | Consent::Ask)
    }

    /// Whether the toolchain is to come from apt's packages rather than from rustup.
    fn rust_from_packages(&self) -> bool {
        // Rustup needs no privilege, and is what most have; apt's packages work where rustup's server cannot be reached.
        let apt = self.manager == Some(PackageManager::Apt) && self.rust_source_packages;
        apt && (self.privilege != Privilege::None || !self.rustup)
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: nothing is missing.
    Nothing,
    /// These, in order, after asking if `ask`.
    Install {
        /// The steps.
        steps: Vec<Step>,
        /// Whether to ask before.
        ask: bool,
    },
    /// Nothing from here, for this reason: the commands are to be shown.
    Refuse(&'static str),
}

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These packages, with apt.
    Apt(Vec<&'static str>),
    /// The standard library, with rustup.
    Rustup(Library),
}

/// A standard library in a form that rustup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Built, for this target.
    Target(&'static str),
    /// Its sources, for targets for which it is not built. The toolchain may be a stable one: images are built from source with
    /// `RUSTC_BOOTSTRAP`.
    Source,
}

impl Library {
    fn of(architecture: &Architecture) -> Self {
        if architecture.prebuilt_library { Self::Target(architecture.target) } else { Self::Source }
    }

    /// What rustup is told.
    #[must_use]
    pub fn arguments(self) -> [&'static str; 3] {
        match self {
            Self::Target(target) => ["target", "add", target],
            Self::Source => ["component", "add", "rust-src"],
        }
    }
}

/// The packages that bring what is missing, as the host's package manager calls them.
#[must_use]
pub fn packages(facts: &Facts, architecture: &Architecture) -> Vec<&'static str> {
    let Some(manager) = facts.manager else { return Vec::new() };
    let mut packages = Vec::new();
    for need in &facts.missing {
        match (need, manager) {
            (Need::Qemu, PackageManager::Apt) => packages.push(architecture.qemu_packages.apt),
            (Need::Qemu, PackageManager::Dnf) => packages.push(architecture.qemu_packages.dnf),
            (Need::Qemu, PackageManager::Pacman) => packages.push(architecture.qemu_packages.pacman),
            (Need::Qemu, PackageManager::Brew) => packages.push(architecture.qemu_packages.brew),
            (Need::Linker, _) => packages.push("lld"),
            (Need::Toolchain, _) if facts.rust_from_packages() => packages.extend(APT_RUST_PACKAGES),
            (Need::Toolchain, _) => {}
        }
    }
    packages
}

/// Decides what is to be done for `architecture`.
#[must_use]
pub fn decide(facts: &Facts, architecture: &Architecture) -> Decision {
    if facts.missing.is_empty() {
        return Decision::Nothing;
    }
    match facts.consent {
        Consent::Never => return Decision::Refuse("REVEILLE_SETUP is never"),
        Consent::NobodyToAsk => return Decision::Refuse("there is no terminal to ask on"),
        Consent::Auto | Consent::Ask => {}
    }
    let mut steps = Vec::new();
    let packages = packages(facts, architecture);
    if !packages.is_empty() {
        steps.push(Step::Apt(packages));
        if facts.manager != Some(PackageManager::Apt) {
            return Decision::Refuse("packages are installed automatically on Debian and its descendants only");
        }
        if facts.privilege == Privilege::None {
            return Decision::Refuse("installing packages takes root or sudo without a password");
        }
    }
    let with_rustup = facts.missing.contains(&Need::Toolchain) && !facts.rust_from_packages();
    if with_rustup {
        if !facts.rustup {
            return Decision::Refuse("there is no rustup to add Rust's standard library with");
        }
        steps.push(Step::Rustup(Library::of(architecture)));
    }
    if steps.is_empty() {
        return Decision::Refuse("this host has no package manager that is known here");
    }
    Decision::Install { steps, ask: facts.consent == Consent::Ask }
}

/// What a person would type to install what is missing.
#[must_use]
pub fn commands(facts: &Facts, architecture: &Architecture) -> Vec<String> {
    let mut commands = Vec::new();
    let packages = packages(facts, architecture);
    match facts.manager {
        Some(manager) if !packages.is_empty() => {
            let needs_root = manager != PackageManager::Brew && facts.privilege != Privilege::Root;
            let sudo = if needs_root { "sudo " } else { "" };
            if manager == PackageManager::Apt && !facts.package_lists {
                commands.push(format!("{sudo}apt-get update"));
            }
            commands.push(format!("{sudo}{} {}", manager.install(), packages.join(" ")));
        }
        Some(_) => {}
        None => {
            let by_hand = facts.missing.iter().filter(|need| **need != Need::Toolchain);
            let names = names(&by_hand.copied().collect::<Vec<_>>(), architecture);
            commands.extend(names.iter().map(|name| format!("(install {name} as this system does it)")));
        }
    }
    if facts.missing.contains(&Need::Toolchain) && !facts.rust_from_packages() {
        if !facts.rustup {
            commands.push("curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh".into());
            commands.push(". ~/.cargo/env".into());
        }
        commands.push(format!("rustup {}", Library::of(architecture).arguments().join(" ")));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{ARM64, MIPS};

    const EVERYTHING: [Need; 3] = [Need::Qemu, Need::Toolchain, Need::Linker];
    const TARGET: &str = "aarch64-unknown-none-softfloat";
    const PACKAGES: [&str; 5] = ["qemu-system-arm", "rustc-web", "cargo-web", "rust-web-src", "lld"];

    /// A fresh Debian machine with rustup, as root, without a terminal.
    fn debian() -> Facts {
        Facts {
            missing: EVERYTHING.to_vec(),
            manager: Some(PackageManager::Apt),
            privilege: Privilege::Root,
            rustup: true,
            rust_source_packages: true,
            package_lists: true,
            consent: Consent::Auto,
        }
    }

    fn install(steps: Vec<Step>) -> Decision {
        Decision::Install { steps, ask: false }
    }

    #[test]
    fn nothing_missing_is_nothing_to_do() {
        let facts = Facts { missing: Vec::new(), consent: Consent::Never, ..debian() };
        assert_eq!(decide(&facts, &ARM64), Decision::Nothing);
        assert!(commands(&facts, &ARM64).is_empty());
    }

    #[test]
    fn debian_as_root_installs_packages() {
        assert_eq!(decide(&debian(), &ARM64), install(vec![Step::Apt(PACKAGES.to_vec())]));
        let command = format!("apt-get install --no-install-recommends {}", PACKAGES.join(" "));
        assert_eq!(commands(&debian(), &ARM64), [command]);
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let facts = Facts { missing: vec![Need::Qemu], ..debian() };
        assert_eq!(decide(&facts, &ARM64), install(vec![Step::Apt(vec!["qemu-system-arm"])]));
    }

    #[test]
    fn on_a_terminal_the_person_is_asked() {
        let facts = Facts { consent: Consent::Ask, ..debian() };
        assert!(matches!(decide(&facts, &ARM64), Decision::Install { ask: true, .. }));
    }

    #[test]
    fn sudo_without_a_password_is_as_good_as_root() {
        let facts = Facts { privilege: Privilege::Sudo, ..debian() };
        assert_eq!(decide(&facts, &ARM64), install(vec![Step::Apt(PACKAGES.to_vec())]));
        assert!(commands(&facts, &ARM64)[0].starts_with("sudo apt-get "));
    }

    #[test]
    fn debian_without_privilege_shows_commands() {
        let facts = Facts { privilege: Privilege::None, ..debian() };
        assert!(matches!(decide(&facts, &ARM64), Decision::Refuse(_)));
        let expected = [
            "sudo apt-get install --no-install-recommends qemu-system-arm lld".to_owned(),
            format!("rustup target add {TARGET}"),
        ];
        assert_eq!(commands(&facts, &ARM64), expected);
    }

    #[test]
    fn rustup_alone_needs_no_privilege() {
        let facts = Facts { missing: vec![Need::Toolchain], privilege: Privilege::None, ..debian() };
        assert_eq!(decide(&facts, &ARM64), install(vec![Step::Rustup(Library::Target(TARGET))]));
    }

    #[test]
    fn each_architecture_has_its_own_qemu_and_mips_no_library_that_is_built() {
        let packages = ["qemu-system-mips", "rustc-web", "cargo-web", "rust-web-src", "lld"];
        assert_eq!(decide(&debian(), &MIPS), install(vec![Step::Apt(packages.to_vec())]));
        let facts = Facts { rust_source_packages: false, ..debian() };
        let steps = vec![Step::Apt(vec!["qemu-system-mips", "lld"]), Step::Rustup(Library::Source)];
        assert_eq!(decide(&facts, &MIPS), install(steps));
        assert_eq!(commands(&facts, &MIPS)[1], "rustup component add rust-src");
        let table = [
            (PackageManager::Dnf, "dnf install qemu-system-mips-core lld"),
            (PackageManager::Pacman, "pacman -S qemu-system-mips lld"),
            (PackageManager::Brew, "brew install qemu lld"),
        ];
        for (manager, command) in table {
            let facts = Facts { manager: Some(manager), ..facts.clone() };
            assert_eq!(commands(&facts, &MIPS), [command, "rustup component add rust-src"]);
        }
    }

    #[test]
    fn a_debian_without_the_rust_packages_falls_back_to_rustup() {
        let facts = Facts { rust_source_packages: false, ..debian() };
        let steps = vec![Step::Apt(vec!["qemu-system-arm", "lld"]), Step::Rustup(Library::Target(TARGET))];
        assert_eq!(decide(&facts, &ARM64), install(steps));
        let without = Facts { rustup: false, ..facts };
        assert!(matches!(decide(&without, &ARM64), Decision::Refuse(_)));
        assert!(commands(&without, &ARM64)[1].contains("https://sh.rustup.rs"));
    }

    #[test]
    fn without_lists_of_packages_they_are_fetched_first() {
        let facts = Facts { package_lists: false, privilege: Privilege::None, ..debian() };
        assert_eq!(commands(&facts, &ARM64)[0], "sudo apt-get update");
    }

    #[test]
    fn never_means_never() {
        for consent in [Consent::Never, Consent::NobodyToAsk] {
            let facts = Facts { consent, ..debian() };
            assert!(matches!(decide(&facts, &ARM64), Decision::Refuse(_)));
            assert!(!facts.may_install());
        }
    }

    #[test]
    fn other_systems_show_their_own_commands() {
        let table = [
            (PackageManager::Dnf, "sudo dnf install qemu-system-aarch64-core lld"),
            (PackageManager::Pacman, "sudo pacman -S qemu-system-aarch64 lld"),
            (PackageManager::Brew, "brew install qemu lld"),
        ];
        for (manager, command) in table {
            let facts =
                Facts { manager: Some(manager), privilege: Privilege::Sudo, rust_source_packages: false, ..debian() };
            assert!(matches!(decide(&facts, &ARM64), Decision::Refuse(_)), "{manager:?}");
            assert_eq!(commands(&facts, &ARM64), [command.to_owned(), format!("rustup target add {TARGET}")]);
            let without = Facts { rustup: false, ..facts };
            let expected = [
                command.to_owned(),
                "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh".to_owned(),
                ". ~/.cargo/env".to_owned(),
                format!("rustup target add {TARGET}"),
            ];
            assert_eq!(commands(&without, &ARM64), expected);
        }
    }

    #[test]
    fn a_system_that_is_not_known_is_told_what_it_lacks() {
        let facts = Facts { manager: None, ..debian() };
        assert!(commands(&facts, &ARM64).iter().any(|command| command.contains("qemu-system-aarch64")));
        let qemu_only = Facts { missing: vec![Need::Qemu], ..facts };
        assert!(matches!(decide(&qemu_only, &ARM64), Decision::Refuse(_)));
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!(consent(None, true), Ok(Consent::Ask));
        assert_eq!(consent(None, false), Ok(Consent::Auto));
        assert_eq!(consent(Some("auto"), true), Ok(Consent::Auto));
        assert_eq!(consent(Some("ask"), false), Ok(Consent::NobodyToAsk));
        assert_eq!(consent(Some("never"), true), Ok(Consent::Never));
        assert_eq!(consent(Some("maybe"), true), Err("maybe".into()));
    }
}
