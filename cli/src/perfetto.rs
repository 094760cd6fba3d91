//! Writes a report as Trace Event JSON, which ui.perfetto.dev and chrome://tracing load: a thread for each CPU, its functions as
//! slices, and kicks as arrows from CPU to CPU.
//!
//! Every slice that begins also ends. Where the trace has no end for it, the last thing that is known of its CPU stands in, and
//! the slice says so.

use reveille_trace_format::{KICK, ONLINE, Outcome, Phase};
use serde_json::{Value, json};

use crate::report::{CpuReport, Event, Report};
use crate::summary::outcome_words;
use crate::timeline::story::{Story, is_faulty};

/// All CPUs are threads of this process.
const PROCESS: u32 = 1;

/// The trace of a boot.
#[must_use]
pub fn draw(report: &Report) -> String {
    let report = &report.with_loader().with_calls();
    let story = Story::new(report);
    let mut events = names(report);
    for cpu in &report.cpus {
        Thread::new(cpu, &story).write(&mut events);
    }
    let trace = json!({
        "displayTimeUnit": "ns",
        "otherData": {
            "machine": report.machine,
            "image": format!("{} {}", report.image, report.image_version),
            "asked_count": report.asked_count,
            "online_count": report.online_count,
            "prepare_ns": report.prepare_ns,
            "bringup_ns": report.bringup_ns,
        },
        "traceEvents": events,
    });
    format!("{trace}\n")
}

/// What process and threads are called, and the order in which they are shown.
fn names(report: &Report) -> Vec<Value> {
    let process = format!("{}: {} {}", report.machine, report.image, report.image_version);
    let mut names = vec![json!({ "ph": "M", "name": "process_name", "pid": PROCESS, "args": { "name": process } })];
    for cpu in &report.cpus {
        let (tid, mut name) = (thread(cpu.index), format!("CPU {} ({:#x})", cpu.index, cpu.hw_id));
        if is_faulty(cpu) || cpu.outcome == Outcome::NotAsked {
            name.push_str(&format!(", {}", outcome_words(cpu.outcome)));
        }
        let metadata =
            |what: &str, args: Value| json!({ "ph": "M", "name": what, "pid": PROCESS, "tid": tid, "args": args });
        names.push(metadata("thread_name", json!({ "name": name })));
        names.push(metadata("thread_sort_index", json!({ "sort_index": cpu.index })));
    }
    names
}

/// The thread of a CPU. Not its number, since thread 0 has a meaning of its own to viewers.
fn thread(cpu: u32) -> u64 {
    u64::from(cpu) + 1
}

/// Microseconds, as the format counts.
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// Writes the events of one CPU.
struct Thread<'a> {
    cpu: &'a CpuReport,
    story: &'a Story,
    /// What was entered and not yet left.
    open: Vec<&'a str>,
    /// The last thing known of this CPU.
    end: u64,
}

impl<'a> Thread<'a> {
    fn new(cpu: &'a CpuReport, story: &'a Story) -> Self {
        let last = cpu.events.iter().map(|event| event.ns).max();
        let waited = is_faulty(cpu).then(|| story.kicks.get(&cpu.index).map(|kick| kick.ns)).flatten();
        let waited =
            waited.map(|kick| if cpu.outcome == Outcome::Failed { kick } else { story.waited_until().max(kick) });
        Self { cpu, story, open: Vec::new(), end: last.max(waited).unwrap_or(story.origin) }
    }

    fn write(mut self, events: &mut Vec<Value>) {
        let kick = self.story.kicks.get(&self.cpu.index).map(|kick| kick.ns);
        let fault = is_faulty(self.cpu).then(|| {
            let reason = self.cpu.reason.as_deref().unwrap_or("no reason was given");
            format!("{}: {reason}", outcome_words(self.cpu.outcome))
        });
        let first = self.cpu.events.first().map(|event| event.ns);
        if let Some(name) = &fault {
            let begin = kick.or(first).unwrap_or(self.story.origin).min(first.unwrap_or(u64::MAX));
            let slice = self.event("B", name, begin);
            events.push(with(slice, json!({ "cname": "terrible", "args": { "reason": self.cpu.reason } })));
        }
        // The arrow of the kick ends where the CPU was waited for, or where it first shows after it: in a slice which, for Perfetto,
        // must be open by then in the order of the file as well.
        let mut arrow = kick;
        if fault.is_some() {
            events.extend(arrow.take().map(|kick| self.arrow_end(kick)));
        }
        for event in &self.cpu.events {
            self.take(event, events);
            if event.phase != Phase::End && arrow.take_if(|kick| *kick <= event.ns).is_some() {
                events.push(self.arrow_end(event.ns));
            }
        }
        while let Some(name) = self.open.pop() {
            let end = self.event("E", name, self.end);
            events.push(with(end, json!({ "args": { "end": "not left in the trace" } })));
        }
        if let Some(name) = &fault {
            events.push(self.event("E", name, self.end));
        }
    }

    fn arrow_end(&self, ns: u64) -> Value {
        with(self.event("f", KICK, ns), json!({ "bp": "e", "cat": KICK, "id": self.cpu.index }))
    }

    fn take(&mut self, event: &'a Event, events: &mut Vec<Value>) {
        let args = event.target.map_or(json!({}), |target| json!({ "args": { "target": format!("CPU {target}") } }));
        match event.phase {
            Phase::Begin => {
                events.push(with(self.event("B", &event.name, event.ns), args));
                self.open.push(&event.name);
            }
            Phase::Instant => {
                events.push(with(with(self.event("i", &event.name, event.ns), json!({ "s": "t" })), args));
                if let (KICK, Some(target)) = (event.name.as_str(), event.target) {
                    let is_first = self.story.kicks.get(&target).is_some_and(|kick| kick.ns == event.ns);
                    let arrow = self.event("s", KICK, event.ns);
                    events.extend(is_first.then(|| with(arrow, json!({ "cat": KICK, "id": target }))));
                }
            }
            Phase::End => {
                // A beginning that was lost has no end either; what was entered within this and not left ends with it.
                let Some(depth) = self.open.iter().rposition(|name| *name == event.name) else { return };
                while let Some(name) = self.open.pop() {
                    let end = self.event("E", name, event.ns);
                    if self.open.len() == depth {
                        events.push(end);
                        break;
                    }
                    events.push(with(end, json!({ "args": { "end": "not left in the trace" } })));
                }
            }
        }
    }

    fn event(&self, phase: &str, name: &str, ns: u64) -> Value {
        let category = if name == ONLINE { ONLINE } else { "boot" };
        let (tid, ts) = (thread(self.cpu.index), microseconds(ns));
        json!({ "ph": phase, "name": name, "cat": category, "pid": PROCESS, "tid": tid, "ts": ts })
    }
}

/// An event with further members, in place of those that it has.
fn with(mut event: Value, more: Value) -> Value {
    if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
        event.extend(more);
    }
    event
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::report::sample;

    fn events(report: &Report) -> Vec<Value> {
        let trace: Value = serde_json::from_str(&draw(report)).unwrap();
        trace["traceEvents"].as_array().unwrap().clone()
    }

    fn of_phase<'a>(events: &'a [Value], phase: &str) -> Vec<&'a Value> {
        events.iter().filter(|event| event["ph"] == phase).collect()
    }

    /// Checks that slices nest on each thread, each end being that of the innermost open one, and that time does not go back.
    fn assert_balanced(events: &[Value]) {
        let mut open: HashMap<u64, Vec<(String, f64)>> = HashMap::new();
        for event in events {
            let name = event["name"].as_str().unwrap().to_owned();
            let stack = open.entry(event["tid"].as_u64().unwrap_or(0)).or_default();
            match event["ph"].as_str().unwrap() {
                "B" => stack.push((name, event["ts"].as_f64().unwrap())),
                "E" => {
                    let (begun, at) = stack.pop().expect("an end without a beginning");
                    assert_eq!(begun, name);
                    assert!(event["ts"].as_f64().unwrap() >= at, "{event}");
                }
                _ => {}
            }
        }
        assert!(open.values().all(Vec::is_empty), "{open:?}");
    }

    fn stuck() -> Report {
        let mut report = sample::cpus(4);
        report.cpus[2].outcome = Outcome::Stuck;
        report.cpus[2].reason = Some("arrived and got stuck in secondary_startup".into());
        report.cpus[2].events.truncate(2);
        report
    }

    #[test]
    fn every_slice_that_begins_also_ends() {
        for report in [sample::cpus(4), sample::dead_cpu(), stuck(), sample::cpus(64)] {
            assert_balanced(&events(&report));
        }
        use Phase::{Begin, End, Instant};
        let odd = [("x", 1, End), ("a", 2, Begin), ("b", 3, Begin), ("c", 4, Instant), ("a", 5, End), ("d", 6, Begin)];
        let events = events(&sample::with_events(&[&odd]));
        assert_balanced(&events);
        let unfinished: Vec<_> =
            events.iter().filter(|event| event["args"]["end"] == "not left in the trace").collect();
        assert_eq!(unfinished.len(), 2);
        assert_eq!((&unfinished[0]["name"], &unfinished[0]["ts"]), (&json!("b"), &json!(0.005)));
        assert_eq!((&unfinished[1]["name"], &unfinished[1]["ts"]), (&json!("d"), &json!(0.006)));
    }

    #[test]
    fn each_cpu_is_a_thread_with_its_name() {
        let events = events(&stuck());
        let named = |tid| {
            let mut names = events.iter().filter(|event| event["name"] == "thread_name" && event["tid"] == tid);
            names.next().map(|event| event["args"]["name"].as_str().unwrap().to_owned())
        };
        assert_eq!(named(1).as_deref(), Some("CPU 0 (0x0)"));
        assert_eq!(named(3).as_deref(), Some("CPU 2 (0x2), stuck"));
        assert_eq!(named(5), None);
    }

    /// The slices that Perfetto ties each arrow to, by name and thread: for either end the innermost one that is open on its thread
    /// when that end is read. Events are read by their times and, where these are equal, in the order of the file.
    fn tied(events: &[Value]) -> Vec<[(String, u64); 2]> {
        let mut events: Vec<&Value> = events.iter().filter(|event| event["ph"] != "M").collect();
        events.sort_by(|one, other| one["ts"].as_f64().unwrap().total_cmp(&other["ts"].as_f64().unwrap()));
        let mut open: HashMap<u64, Vec<String>> = HashMap::new();
        let (mut started, mut arrows) = (HashMap::new(), Vec::new());
        // A moment is a slice without length, which the next beginning or end on its thread removes.
        let mut moments: HashMap<u64, String> = HashMap::new();
        for event in events {
            let (tid, name) = (event["tid"].as_u64().unwrap(), event["name"].as_str().unwrap().to_owned());
            let innermost = moments.get(&tid).or_else(|| open.get(&tid)?.last()).cloned();
            match event["ph"].as_str().unwrap() {
                "B" => {
                    moments.remove(&tid);
                    open.entry(tid).or_default().push(name);
                }
                "E" => {
                    moments.remove(&tid);
                    open.get_mut(&tid).and_then(Vec::pop);
                }
                "i" => drop(moments.insert(tid, name)),
                "s" => drop(started.insert(event["id"].as_u64(), (innermost.unwrap(), tid))),
                "f" => {
                    let start = started[&event["id"].as_u64()].clone();
                    arrows.extend(innermost.map(|innermost| [start, (innermost, tid)]));
                }
                other => panic!("{other}"),
            }
        }
        arrows
    }

    #[test]
    fn every_arrow_ties_a_kick_to_the_first_slice_of_its_cpu() {
        for (report, count) in [(sample::cpus(4), 3), (sample::cpus(128), 127)] {
            let tied = tied(&events(&report));
            assert_eq!(tied.len(), count, "{tied:?}");
            for ([from, to], target) in tied.iter().zip(2..) {
                assert_eq!((from, to), (&(KICK.to_owned(), 1), &("secondary_entry".to_owned(), target)));
            }
        }
        for report in [stuck(), sample::dead_cpu()] {
            let tied = tied(&events(&report));
            assert_eq!(tied.len(), report.cpus.len() - 1, "{tied:?}");
            let faulty = report.cpus.iter().find(|cpu| is_faulty(cpu)).unwrap();
            let [_, (slice, _)] = tied.iter().find(|[_, to]| to.1 == thread(faulty.index)).unwrap();
            assert!(slice.starts_with(outcome_words(faulty.outcome)), "{slice}");
        }
    }

    #[test]
    fn an_arrow_ends_at_the_first_slice_after_the_kick() {
        use Phase::{Begin, End, Instant};
        let kick = Event { name: KICK.into(), ns: 4, phase: Instant, target: Some(1) };
        // The CPU is prepared before it is kicked, and the beginning of x was lost, so there is nothing to show of it.
        let own = [("prepare", 1, Begin), ("prepare", 2, End), ("x", 5, End), ("y", 6, Instant)];
        let mut report = sample::with_events(&[&[], &own]);
        report.cpus[0].events.push(kick);
        let tied = tied(&events(&report));
        assert_eq!(tied, [[(KICK.to_owned(), 1), ("y".to_owned(), 2)]]);
    }

    #[test]
    fn kicks_are_arrows_that_begin_and_end() {
        for report in [sample::cpus(4), sample::dead_cpu(), stuck()] {
            let events = events(&report);
            let (starts, ends) = (of_phase(&events, "s"), of_phase(&events, "f"));
            assert_eq!(starts.len(), report.cpus.len() - 1);
            for (start, end) in starts.iter().zip(&ends) {
                assert_eq!((&start["id"], &start["cat"], &start["name"]), (&end["id"], &end["cat"], &end["name"]));
                assert_eq!(end["tid"].as_u64().unwrap(), start["id"].as_u64().unwrap() + 1);
                assert_eq!(start["tid"], 1);
                assert!(start["ts"].as_f64() <= end["ts"].as_f64());
            }
            assert_eq!(starts.len(), ends.len());
        }
    }

    #[test]
    fn a_dead_cpu_is_a_slice_with_its_reason_from_kick_to_the_end_of_the_wait() {
        let events = events(&sample::dead_cpu());
        let own: Vec<&Value> = events.iter().filter(|event| event["tid"] == 2 && event["cat"] == "boot").collect();
        let [begin, end] = own.as_slice() else { panic!("{own:?}") };
        assert!(begin["name"].as_str().unwrap().starts_with("timed out: last stage reached: none"));
        assert_eq!((&begin["ts"], &end["ts"]), (&json!(51.5), &json!(900.0)));
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let events = events(&sample::with_events(&[&[("a", 1_234_567_891, Phase::Instant)]]));
        assert_eq!(of_phase(&events, "i")[0]["ts"], json!(1_234_567.891));
    }
}
