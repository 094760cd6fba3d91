//! The guests that the machine's devicetree asks for (Xen's `domain_build.c`): what each is to be, and whether it runs. [`life_cycle`]
//! has them come and go.

pub mod life_cycle;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::AtomicUsize;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use guest_config::{Configuration, Guest as Asked, Limits, Refused};
use reveille::CpuIndex;
use reveille_runtime::cpus::topology;
use reveille_runtime::lock::IrqLock;
use reveille_runtime::{devicetree, memory, println, thread, trace};
use spin::Once;

use crate::guest::build::{RAM, Start};
use crate::guest::memory::PIECE;
use crate::guest::{End, Guest, MAX_VCPUS, call_log, devices, output};
use crate::names::name;
use crate::{modules, shares, soak, virt};

/// How much memory guest 0 has where nothing is said, in KiB: less, if less is left.
const DEFAULT_MEMORY: u64 = 512 << 10;
/// The least memory that a guest is given, in KiB.
const LEAST_MEMORY: u64 = 32 << 10;
/// The most guests: each has its number, and one that is no guest's, in 8 bits (VMID).
const MAX_GUESTS: usize = 254;
/// What the hypervisor keeps of the memory, in bytes.
const OWN_MEMORY: usize = 32 << 20;

static DOMAINS: Once<Vec<Domain>> = Once::new();

/// A guest that the devicetree asks for.
pub struct Domain {
    /// Its number. Guest 0 is the one whose modules are in `/chosen` itself.
    pub number: usize,
    /// What it is to be, or why it cannot be.
    asked: Result<Asked<'static>, Refused<'static>>,
    /// Where its vCPUs run.
    homes: Vec<CpuIndex>,
    state: IrqLock<State>,
    /// How often it was at an end, and all that follows from that was done.
    ends: AtomicUsize,
    /// How often in a row it reset itself soon after it had begun.
    quick_resets: AtomicUsize,
}

/// Whether it runs.
enum State {
    /// It does not, and has nothing of the machine.
    Off(Past),
    /// It is about to.
    Starting,
    /// It does, or is about to be at its end.
    On(Arc<Guest>),
}

/// What became of it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// It has not begun.
    Nothing,
    /// It could not be made.
    Failed(&'static str),
    /// It ended.
    Ended(End),
}

/// A guest that is ready to begin.
pub type Ready = (&'static Domain, Arc<Guest>, Start);

impl Domain {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match &self.asked {
            Ok(asked) => asked.name,
            Err(refused) => refused.name,
        }
    }

    /// What it is to be.
    ///
    /// # Errors
    /// Why it cannot be.
    pub const fn asked(&self) -> Result<&Asked<'static>, &Refused<'static>> {
        self.asked.as_ref()
    }

    /// The guest, if it runs.
    pub fn guest(&self) -> Option<Arc<Guest>> {
        match &*self.state.lock() {
            State::On(guest) => Some(Arc::clone(guest)),
            State::Off(_) | State::Starting => None,
        }
    }

    /// What became of it, if it does not run and is not about to.
    pub fn past(&self) -> Option<Past> {
        match &*self.state.lock() {
            State::Off(past) => Some(*past),
            State::Starting | State::On(_) => None,
        }
    }
}

/// All guests, by their order in the devicetree.
pub fn all() -> &'static [Domain] {
    DOMAINS.get().map_or(&[], Vec::as_slice)
}

/// The guest with this number.
pub fn get(number: usize) -> Option<&'static Domain> {
    all().iter().find(|domain| domain.number == number)
}

/// Makes all guests that the devicetree asks for. What cannot be is said.
pub fn create(fdt: &Fdt<'static>) -> Vec<Ready> {
    let ram: Vec<Range<u64>> = ram(fdt).collect();
    let cpus: Vec<CpuIndex> = virt::cpus().collect();
    let limits = Limits {
        vcpus: MAX_VCPUS,
        cpus: topology().cpus().len(),
        default_vcpus: cpus.len().min(MAX_VCPUS),
        memory: memory::free().saturating_sub(OWN_MEMORY) as u64 >> 10,
        default_memory: DEFAULT_MEMORY,
        least_memory: LEAST_MEMORY,
        spis: devices::SPIS as u32,
        memory_unit: PIECE as u64 >> 10,
        memory_start: RAM,
        guests: MAX_GUESTS,
        ram: &ram,
        header: modules::header,
    };
    let configuration = Configuration::read(fdt, &limits);
    if configuration.guests.len() > 1 {
        output::expect_several();
    }
    let first = usize::from(!configuration.has_guest_0);
    let mut homes = cpus.iter().copied().cycle();
    let domain = |(number, asked): (usize, Result<Asked<'static>, _>)| Domain {
        number,
        homes: homes.by_ref().take(asked.as_ref().map_or(0, |asked| asked.vcpus)).collect(),
        asked,
        state: IrqLock::new(State::Off(Past::Nothing)),
        ends: AtomicUsize::new(0),
        quick_resets: AtomicUsize::new(0),
    };
    let domains = DOMAINS.call_once(|| (first..).zip(configuration.guests).map(domain).collect());
    domains.iter().filter_map(prepare).collect()
}

fn prepare(domain: &'static Domain) -> Option<Ready> {
    let _span = trace::span(if domain.number == 0 { name::create_dom0 } else { name::create_domUs });
    let (number, name) = (domain.number, domain.name());
    match domain.prepare() {
        Ok((guest, start)) => {
            let vcpus = domain.asked.as_ref().map_or(0, |asked| asked.vcpus);
            println!("Guest {number} ({name}): {vcpus} vCPUs, {} MiB", guest.memory_size() >> 20);
            Some((domain, guest, start))
        }
        Err(reason) => {
            println!("Guest {number} ({name}): {reason}");
            life_cycle::note_failure();
            None
        }
    }
}

/// The machine's memory.
fn ram<'a>(fdt: &Fdt<'a>) -> impl Iterator<Item = Range<u64>> + 'a {
    let memory = fdt.root().children().filter(|node| node.name_without_address() == "memory");
    memory.flat_map(devicetree::regions).map(|region| region.start as u64..region.end as u64)
}

/// Has those begin that are ready, and what the hypervisor's command line asks for beside.
///
/// # Errors
/// There is no room for a thread.
pub fn unpause(guests: &[Ready], command_line: &str) -> Result<(), &'static str> {
    call_log::start()?;
    life_cycle::init()?;
    guests.iter().try_for_each(|(domain, guest, start)| domain.begin(guest, start))?;
    if let Some(options) = soak::Options::from_command_line(command_line) {
        thread::spawn("soak", CpuIndex::BOOT, move || soak::run(options))?;
    } else if let Some(duration) = shares::from_command_line(command_line) {
        thread::spawn("shares", CpuIndex::BOOT, move || shares::run(duration))?;
    }
    Ok(())
}
