//! From time to place: one scale for the whole picture, from which long times without any event are cut out.

use std::ops::Range;

/// How wide a cut is drawn.
pub const CUT_WIDTH: f64 = 24.0;
/// More cuts than this are not made, since they would hide how times compare.
const MOST_CUTS: usize = 5;
/// A time without events is cut if it is drawn more than this many times as wide as the cut.
const WORTH_CUTTING: f64 = 5.0;
/// The least distance between two ticks.
const TICK_DISTANCE: f64 = 84.0;

/// The scale of a picture.
#[derive(Clone, Debug)]
pub struct Scale {
    pieces: Vec<Piece>,
}

/// A stretch of time, drawn linearly or cut out.
#[derive(Clone, Debug)]
struct Piece {
    time: Range<u64>,
    left: f64,
    right: f64,
    cut: bool,
}

/// A time that is not drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Where it would begin.
    pub left: f64,
    /// Where what follows begins.
    pub right: f64,
    /// How long it is.
    pub ns: u64,
}

/// A time marked on the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub x: f64,
    /// What stands there.
    pub label: String,
}

impl Scale {
    /// A scale that draws `time` from `left` to `right`. `moments` are the times at which something happens.
    #[must_use]
    pub fn new(time: Range<u64>, moments: &[u64], left: f64, right: f64) -> Self {
        let start = time.start.min(u64::MAX - 1);
        let time = start..time.end.max(start + 1);
        let gaps = gaps_to_cut(&time, moments, right - left);
        let cut_out: u64 = gaps.iter().map(|gap| gap.end - gap.start).sum();
        let room = right - left - gaps.len() as f64 * CUT_WIDTH;
        let per_ns = room / (time.end - time.start - cut_out) as f64;
        let mut pieces = Vec::new();
        let mut add = |time: Range<u64>, cut: bool, from: f64| {
            let width = if cut { CUT_WIDTH } else { (time.end - time.start) as f64 * per_ns };
            pieces.push(Piece { time, left: from, right: from + width, cut });
            from + width
        };
        let (mut at, mut x) = (time.start, left);
        for gap in gaps {
            x = add(at..gap.start, false, x);
            at = gap.end;
            x = add(gap, true, x);
        }
        add(at..time.end, false, x);
        Self { pieces }
    }

    /// Where a time is; times outside are at the edge.
    #[must_use]
    pub fn x(&self, ns: u64) -> f64 {
        let position = self.pieces.partition_point(|piece| piece.time.end < ns);
        let Some(piece) = self.pieces.get(position).or(self.pieces.last()) else { return 0.0 };
        let length = (piece.time.end - piece.time.start).max(1);
        let into = ns.clamp(piece.time.start, piece.time.end) - piece.time.start;
        piece.left + (piece.right - piece.left) * (into as f64 / length as f64)
    }

    /// The times that are cut out.
    pub fn cuts(&self) -> impl Iterator<Item = Cut> {
        let cuts = self.pieces.iter().filter(|piece| piece.cut);
        cuts.map(|piece| Cut { left: piece.left, right: piece.right, ns: piece.time.end - piece.time.start })
    }

    /// The widest stretch between `left` and `right` in which nothing is cut out.
    #[must_use]
    pub fn widest_stretch(&self, left: f64, right: f64) -> (f64, f64) {
        let drawn = self.pieces.iter().filter(|piece| !piece.cut);
        let stretches = drawn.map(|piece| (piece.left.max(left), piece.right.min(right)));
        stretches.max_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap_or((left, right))
    }

    /// Whether nothing is cut out between `left` and `right`.
    #[must_use]
    pub fn is_whole(&self, left: f64, right: f64) -> bool {
        self.cuts().all(|cut| cut.right <= left || cut.left >= right)
    }

    /// The ticks of the axis, whose zero is at `origin`. Their labels, `width` wide for a text, do not touch.
    #[must_use]
    pub fn ticks(&self, origin: u64, width: impl Fn(&str) -> f64) -> Vec<Tick> {
        let Some(first) = self.pieces.iter().find(|piece| !piece.cut && piece.right > piece.left) else {
            return Vec::new();
        };
        let ns_per_pixel = (first.time.end - first.time.start) as f64 / (first.right - first.left);
        let step = round_step(ns_per_pixel * TICK_DISTANCE);
        let longest = self.pieces.last().map_or(0, |piece| piece.time.end.abs_diff(origin));
        let mut ticks: Vec<Tick> = Vec::new();
        for piece in self.pieces.iter().filter(|piece| !piece.cut) {
            for (ns, step) in tick_times(&piece.time, origin, step) {
                let label = label(ns, step, longest);
                let x = self.x(origin.saturating_add_signed(ns));
                let half = width(&label) / 2.0;
                let clear = ticks.last().is_none_or(|last| last.x + width(&last.label) / 2.0 + 8.0 <= x - half);
                if clear {
                    ticks.push(Tick { x, label });
                }
            }
        }
        ticks
    }
}

/// The times without events that are worth cutting out, the earliest first, each with a little of it left at both ends.
fn gaps_to_cut(time: &Range<u64>, moments: &[u64], width: f64) -> Vec<Range<u64>> {
    let mut moments: Vec<u64> = moments.iter().copied().filter(|ns| time.contains(ns)).collect();
    moments.extend([time.start, time.end]);
    moments.sort_unstable();
    moments.dedup();
    let mut gaps: Vec<Range<u64>> = moments.windows(2).map(|pair| pair[0]..pair[1]).collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.end - gap.start));
    // Where little happens, what lies between is not a pause.
    gaps.truncate(MOST_CUTS.min(gaps.len() / 4));
    let mut rest = time.end - time.start;
    let mut count = 0;
    for gap in &gaps {
        let room = width - count as f64 * CUT_WIDTH;
        if (gap.end - gap.start) as f64 / rest as f64 * room < WORTH_CUTTING * CUT_WIDTH {
            break;
        }
        rest = (rest - (gap.end - gap.start)).max(1);
        count += 1;
    }
    gaps.truncate(count);
    gaps.sort_by_key(|gap| gap.start);
    let margin = rest / 100;
    let shortened = gaps.into_iter().map(|gap| gap.start + margin..gap.end.saturating_sub(margin));
    shortened.filter(|gap| gap.start < gap.end).collect()
}

/// The ticks in a stretch of time, relative to the origin, and the step that they follow: where the usual one has no tick, one
/// tick of a finer step.
fn tick_times(time: &Range<u64>, origin: u64, step: u64) -> Vec<(i64, u64)> {
    let relative = |ns: u64| i128::from(ns) - i128::from(origin);
    let (from, to) = (relative(time.start), relative(time.end));
    let steps = std::iter::successors(Some(step), |step| Some(step / 10).filter(|finer| *finer > 0));
    for (position, step) in steps.enumerate() {
        let wide = i128::from(step);
        let first = -((-from).div_euclid(wide)) * wide;
        let most = if position == 0 { usize::MAX } else { 1 };
        let multiples = (0..).map(|number| first + number * wide).take_while(|ns| *ns <= to).take(most);
        let times: Vec<_> = multiples.filter_map(|ns| Some((i64::try_from(ns).ok()?, step))).collect();
        if !times.is_empty() {
            return times;
        }
    }
    Vec::new()
}

/// The smallest of 1, 2, 5, 10, 20, ... that is at least `least`.
fn round_step(least: f64) -> u64 {
    let decades = (0..18).map(|exponent| 10_u64.pow(exponent));
    let mut steps = decades.flat_map(|decade| [decade, 2 * decade, 5 * decade]);
    steps.find(|step| *step as f64 >= least).unwrap_or(10_u64.pow(18))
}

/// A time on an axis whose farthest time is `longest`, as exactly as `step` needs it.
fn label(ns: i64, step: u64, longest: u64) -> String {
    let (unit, name) = unit(longest);
    let decimals = (0..10).find(|decimals| step * 10_u64.pow(*decimals) >= unit).unwrap_or(9) as usize;
    match ns {
        0 => "0".to_owned(),
        _ => format!("{:+.decimals$} {name}", ns as f64 / unit as f64),
    }
}

/// The unit in which times up to `longest` are best read, in nanoseconds, and its name.
fn unit(longest: u64) -> (u64, &'static str) {
    match longest {
        0..2_000_000 => (1_000, "µs"),
        2_000_000..20_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    }
}

/// A length of time for people: three digits that count, and the unit.
#[must_use]
pub fn duration(ns: u64) -> String {
    let (unit, name) = match ns {
        0..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let value = ns as f64 / unit;
    match value {
        ..9.995 => format!("{value:.2} {name}"),
        ..99.95 => format!("{value:.1} {name}"),
        _ => format!("{value:.0} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: f64 = 800.0;

    fn scale(moments: &[u64]) -> Scale {
        Scale::new(0..moments[moments.len() - 1], moments, 100.0, 100.0 + WIDTH)
    }

    #[test]
    fn later_is_never_further_left() {
        let scale = scale(&[0, 5, 1_000, 1_010, 900_000, 900_100]);
        let places: Vec<f64> = (0..=900_100).step_by(50).map(|ns| scale.x(ns)).collect();
        assert!(places.is_sorted());
        assert!((places[0] - 100.0).abs() < 0.01 && (scale.x(900_100) - 900.0).abs() < 0.01);
        assert_eq!(scale.x(u64::MAX), scale.x(900_100));
    }

    #[test]
    fn a_long_wait_is_cut_and_what_happens_around_it_gets_the_room() {
        let scale = scale(&[0, 1_000, 2_000, 1_000_000_000, 1_000_001_000]);
        let cuts: Vec<Cut> = scale.cuts().collect();
        assert_eq!(cuts.len(), 1);
        assert!((999_990_000..1_000_000_000).contains(&cuts[0].ns), "{cuts:?}");
        assert!(scale.x(2_000) - scale.x(0) > WIDTH / 2.0);
    }

    #[test]
    fn times_that_are_evenly_filled_are_not_cut() {
        let moments: Vec<u64> = (0..100).map(|number| number * 1_000).collect();
        assert_eq!(scale(&moments).cuts().count(), 0);
    }

    #[test]
    fn an_empty_time_has_a_scale() {
        let scale = Scale::new(7..7, &[], 0.0, WIDTH);
        assert!(scale.x(7).is_finite() && scale.x(0).is_finite() && scale.x(u64::MAX).is_finite());
        assert!(scale.ticks(7, |_| 40.0).len() < 20);
        let forever = Scale::new(0..u64::MAX, &[0, u64::MAX], 0.0, WIDTH);
        assert!(forever.ticks(0, |_| 40.0).len() < 20);
    }

    #[test]
    fn labels_of_ticks_do_not_touch() {
        let width = |text: &str| text.chars().count() as f64 * 7.0;
        for last in [10, 12_345, 1_000_000, 77_000_000, 90_000_000_000] {
            let scale = scale(&[0, last / 90, last / 80, last / 2, last / 2 + last / 90, last]);
            let ticks = scale.ticks(last / 85, width);
            assert!(ticks.len() > 2 || last == 10, "{last}: {ticks:?}");
            for pair in ticks.windows(2) {
                let apart = pair[1].x - pair[0].x;
                assert!(apart > (width(&pair[0].label) + width(&pair[1].label)) / 2.0, "{pair:?}");
                assert_ne!(pair[0].label, pair[1].label);
            }
        }
    }

    #[test]
    fn labels_say_the_unit_and_are_exact() {
        assert_eq!(label(0, 1_000_000, 50_000_000), "0");
        assert_eq!(label(1_500_000, 500_000, 50_000_000), "+1.5 ms");
        assert_eq!(label(-20_000_000, 20_000_000, 50_000_000), "-20 ms");
        assert_eq!(label(250_000, 50_000, 900_000), "+250 µs");
        assert_eq!(duration(1_070_430_000), "1.07 s");
        assert_eq!(duration(50_487_296), "50.5 ms");
        assert_eq!(duration(354_480), "354 µs");
    }

    #[test]
    fn the_widest_stretch_has_no_cut_in_it() {
        let scale = scale(&[0, 1_000, 2_000, 1_000_000_000, 1_000_001_000]);
        let (left, right) = scale.widest_stretch(100.0, 900.0);
        let cut = scale.cuts().next().unwrap();
        assert!(left >= 100.0 && right <= cut.left + 0.01, "{left} {right} {cut:?}");
    }
}
