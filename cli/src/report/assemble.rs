//! Makes a [`Report`] from an image's records, whatever order CPUs come in and however early the records break off.

use std::collections::BTreeMap;

use reveille_trace_format::{Outcome, Record, SCHEMA};

use super::{Call, CpuReport, End, Entry, Event, GuestReport, LeftOut, Masks, Proof, Report, firmware};

/// Takes the records of a run in the order in which they come.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    stage: Option<Stage>,
    /// The stages that were over when that one began.
    earlier: Vec<Stage>,
    /// What a hypervisor says of its guests, by their numbers.
    guests: BTreeMap<u32, Stage>,
}

/// What an image has said so far.
#[derive(Clone, Debug)]
struct Stage {
    schema: u32,
    image: String,
    version: String,
    entry_level: Option<u8>,
    boot_hw_id: u64,
    cpus: BTreeMap<u32, CpuReport>,
    masks: Masks,
    events: BTreeMap<u32, Vec<Event>>,
    left_out: Vec<LeftOut>,
    proofs: Vec<Proof>,
    counter_ns: Option<u64>,
    firmware_cpus: BTreeMap<u32, u64>,
    calls: Vec<Call>,
    entries: Vec<Entry>,
    lost_calls: u32,
    done: Option<Done>,
    guest: Option<GuestReport>,
    /// It is a guest that ended in another way than by switching itself off.
    has_failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    asked: u32,
    online: u32,
    prepare_ns: u64,
    bringup_ns: u64,
    passed: bool,
}

impl Assembly {
    /// Takes a record. What comes before the first `boot` belongs to no image and is dropped; a second `boot` begins another stage.
    pub fn take(&mut self, record: Record<String>) {
        if let Record::Guest { guest, name } = record {
            let described = GuestReport { number: guest, name: name.clone(), ended: None };
            // A guest that begins anew goes on with its report.
            let stage =
                self.guests.entry(guest).or_insert_with(|| Stage::new(SCHEMA, name, String::new(), None, 0, None));
            stage.guest = Some(described);
        } else if let Some(guest) = record.guest() {
            if let Some(stage) = self.guests.get_mut(&guest) {
                stage.take(record);
            }
        } else if let Record::Boot { schema, image, version, entry_level, boot_hw_id, counter_ns } = record {
            let stage = Stage::new(schema, image, version, entry_level, boot_hw_id, counter_ns);
            self.earlier.extend(self.stage.replace(stage));
        } else if let Some(stage) = &mut self.stage {
            stage.take(record);
        }
    }

    /// The version of the records, if it is one that this host does not know.
    #[must_use]
    pub fn unknown_schema(&self) -> Option<u32> {
        self.stage.as_ref().map(|stage| stage.schema).filter(|schema| *schema != SCHEMA)
    }

    /// Whether an image has begun to run.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stage.is_some()
    }

    /// The reports of all stages that ran, the first one first; see [`Assembly::finish`].
    #[must_use]
    pub fn finish_all(self, machine: &str, timed_out: bool) -> Vec<Report> {
        let earlier = self.earlier.into_iter().map(|stage| stage.finish(machine, false));
        earlier.chain(self.stage.map(|stage| stage.finish(machine, timed_out))).collect()
    }

    /// How many guests a hypervisor has begun.
    #[must_use]
    pub fn guest_count(&self) -> usize {
        self.guests.len()
    }

    /// What a hypervisor told of its guests, in the order of their numbers: reports as those of firmware. With guest 0, or the last one,
    /// the machine ends.
    #[must_use]
    pub fn guests(&self, machine: &str, timed_out: bool) -> Vec<Report> {
        let has_ended = |stage: &Stage| stage.guest.as_ref().is_some_and(|guest| guest.ended.is_some());
        let is_over = self.guests.get(&0).is_some_and(has_ended) || self.guests.values().all(has_ended);
        let finish = |stage: &Stage| Report {
            end: match (timed_out, is_over) {
                (true, _) => End::TimedOut,
                (false, true) => End::Done,
                (false, false) => End::Died,
            },
            ..stage.clone().finish(machine, timed_out)
        };
        self.guests.values().map(finish).collect()
    }

    /// The report of the last stage, if one ran. `timed_out` says that the run was ended when its time was over.
    #[must_use]
    pub fn finish(self, machine: &str, timed_out: bool) -> Option<Report> {
        self.stage.map(|stage| stage.finish(machine, timed_out))
    }
}

impl Stage {
    fn new(
        schema: u32,
        image: String,
        version: String,
        entry_level: Option<u8>,
        boot_hw_id: u64,
        counter_ns: Option<u64>,
    ) -> Self {
        Self {
            schema,
            image,
            version,
            entry_level,
            boot_hw_id,
            cpus: BTreeMap::new(),
            masks: Masks::default(),
            events: BTreeMap::new(),
            left_out: Vec::new(),
            proofs: Vec::new(),
            counter_ns,
            firmware_cpus: BTreeMap::new(),
            calls: Vec::new(),
            entries: Vec::new(),
            lost_calls: 0,
            done: None,
            guest: None,
            has_failed: false,
        }
    }

    fn take(&mut self, record: Record<String>) {
        match record {
            Record::Boot { .. } | Record::Guest { .. } | Record::Exit { .. } => {}
            Record::Cpu { index, hw_id, possible, present, online, active, outcome, reason, lost_events } => {
                let masks = &mut self.masks;
                set(&mut masks.possible, index, possible);
                set(&mut masks.present, index, present);
                set(&mut masks.online, index, online);
                set(&mut masks.active, index, active);
                let cpu = CpuReport { index, hw_id, outcome, reason, lost_events, events: Vec::new() };
                self.cpus.insert(index, cpu);
            }
            Record::LeftOut { node, hw_id, reason, fault } => {
                self.left_out.push(LeftOut { node, hw_id, reason, fault });
            }
            Record::Event { cpu, ns, phase, name, target } => {
                self.events.entry(cpu).or_default().push(Event { name, ns, phase, target });
            }
            Record::Proof { name, passed, detail } => self.proofs.push(Proof { name, passed, detail }),
            Record::Done { asked, online, prepare_ns, bringup_ns, passed } => {
                self.done = Some(Done { asked, online, prepare_ns, bringup_ns, passed });
            }
            Record::FirmwareCpu { cpu, hw_id, .. } => {
                self.firmware_cpus.insert(cpu, hw_id);
            }
            Record::Call { cpu, ns, id, function, arguments, target, code, code_name, faulty, .. } => {
                self.calls.push(Call { cpu, ns, id, function, arguments, target, code, code_name, faulty });
            }
            Record::Entered { cpu, ns, address, level, .. } => self.entries.push(Entry { cpu, ns, address, level }),
            Record::GuestEnded { well, how, .. } => {
                self.has_failed = !well;
                if let Some(guest) = &mut self.guest {
                    guest.ended = Some(how);
                }
            }
            Record::Lost { count, .. } => self.lost_calls = self.lost_calls.saturating_add(count),
        }
    }

    /// Makes of firmware's records what other images say of themselves. Its end is that of the machine.
    fn take_firmware(&mut self) {
        self.calls.sort_by_key(|call| call.ns);
        self.entries.sort_by_key(|entry| entry.ns);
        let all: Vec<u32> = self.firmware_cpus.keys().copied().collect();
        let cpus = firmware::cpus(&self.firmware_cpus, &self.calls, &self.entries);
        let online: Vec<u32> = cpus.iter().filter(|cpu| cpu.outcome == Outcome::Online).map(|cpu| cpu.index).collect();
        let asked = cpus.iter().filter(|cpu| cpu.outcome != Outcome::NotAsked).count() as u32;
        let bringup_ns = super::bringup_ns(&cpus).unwrap_or(0);
        let is_end = |call: &Call| ["SYSTEM_OFF", "SYSTEM_RESET"].contains(&call.function.as_str());
        let is_done = self.guest.is_some() || self.calls.iter().any(is_end);
        self.done = is_done.then_some(Done {
            asked,
            online: online.len() as u32,
            prepare_ns: 0,
            bringup_ns,
            passed: !self.has_failed,
        });
        if self.guest.is_some() {
            self.take_guest();
        }
        self.masks = Masks { possible: all.clone(), present: all, active: online.clone(), online };
        self.events = cpus.iter().map(|cpu| (cpu.index, cpu.events.clone())).collect();
        self.cpus = cpus.into_iter().map(|cpu| (cpu.index, cpu)).collect();
    }

    /// What a guest's first entry says of it: that is when its time begins.
    fn take_guest(&mut self) {
        let Some(first) = self.entries.first() else { return };
        (self.entry_level, self.counter_ns) = (Some(first.level), Some(first.ns));
        self.boot_hw_id = self.firmware_cpus.get(&first.cpu).copied().unwrap_or_default();
    }

    fn finish(mut self, machine: &str, timed_out: bool) -> Report {
        if !self.firmware_cpus.is_empty() {
            self.take_firmware();
        }
        for cpu in self.cpus.values_mut() {
            cpu.events = self.events.remove(&cpu.index).unwrap_or_default();
        }
        let end = match self.done {
            _ if timed_out => End::TimedOut,
            Some(_) => End::Done,
            None => End::Died,
        };
        // What an image did not come to say is what its records add up to.
        let done = self.done.unwrap_or(Done {
            asked: self.masks.present.len() as u32,
            online: self.masks.online.len() as u32,
            prepare_ns: 0,
            bringup_ns: 0,
            passed: false,
        });
        Report {
            schema: SCHEMA,
            machine: machine.to_owned(),
            image: self.image,
            image_version: self.version,
            end,
            entry_level: self.entry_level,
            boot_hw_id: self.boot_hw_id,
            asked_count: done.asked,
            online_count: done.online,
            passed: done.passed,
            masks: self.masks,
            prepare_ns: done.prepare_ns,
            bringup_ns: done.bringup_ns,
            cpus: self.cpus.into_values().collect(),
            left_out: self.left_out,
            proofs: self.proofs,
            counter_ns: self.counter_ns,
            calls: self.calls,
            entries: self.entries,
            lost_calls: self.lost_calls,
            guest: self.guest,
            stages: Vec::new(),
        }
    }
}

/// Puts `index` into an ascending list, or takes it out.
fn set(list: &mut Vec<u32>, index: u32, member: bool) {
    match (list.binary_search(&index), member) {
        (Err(position), true) => list.insert(position, index),
        (Ok(position), false) => drop(list.remove(position)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
