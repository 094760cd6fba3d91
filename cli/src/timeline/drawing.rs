//! Makes SVG of a [`Layout`]. What colours mean is in `drawing.css`, for light and dark surroundings; no meaning hangs on a colour
//! alone.

use svg::node::element::path::Data;
use svg::node::element::{
    Circle, Definitions, Group, Line as Stroke, Path, Pattern, Rectangle, Style, Text as Words, Title,
};
use svg::{Document, Node};

use super::layout::{
    Anchor, Bar, BarKind, Lane, Layout, Line, LineKind, Look, Sample, Sign, SignKind, Text, Tone, WIDTH,
};
use super::scale::{Cut, duration};

/// Above this many kicks they are drawn without tips, as fine lines.
const MANY_KICKS: usize = 40;
/// Lower lanes are drawn with finer lines.
const LOW: f64 = 12.0;
/// The size of the axis' labels.
const AXIS_SIZE: f64 = 11.0;

/// The document. `alternative` says in words what it shows.
pub fn draw(layout: &Layout, alternative: &str) -> String {
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH as i64, layout.height.ceil() as i64))
        .set("width", WIDTH as i64)
        .set("height", layout.height.ceil() as i64)
        .set("role", "img")
        .add(Title::new(super::text::clean(alternative)))
        .add(Style::new(include_str!("drawing.css")))
        .add(patterns())
        .add(Rectangle::new().set("class", "paper").set("width", "100%").set("height", "100%"));
    document = document.add(backgrounds(layout)).add(grid(layout)).add(kicks(layout)).add(lanes(layout));
    for cut in &layout.cuts {
        document = document.add(tear(cut, layout));
    }
    let mut words = Group::new();
    for text in layout.heading.iter().chain(&layout.axis).chain(&layout.legend) {
        words.append(write(text, ""));
    }
    for lane in &layout.lanes {
        lane.signs.iter().for_each(|one| words.append(sign(one)));
        for text in &lane.texts {
            words.append(write(text, halo(lane, text)));
        }
    }
    layout.signs.iter().for_each(|one| words.append(sign(one)));
    format!("{}\n", document.add(words))
}

/// The patterns by which failed and lost times are told from others without colour.
fn patterns() -> Definitions {
    let pattern = |name: &str, size: i64| {
        Pattern::new().set("id", name).set("patternUnits", "userSpaceOnUse").set("width", size).set("height", size)
    };
    let square = |class: &str, size: i64| Rectangle::new().set("class", class).set("width", size).set("height", size);
    let hatch = pattern("hatch", 8)
        .add(square("hatch-paper", 8))
        .add(Path::new().set("class", "hatch").set("d", "M-2 2L2 -2M0 8L8 0M6 10L10 6"));
    let dot = Circle::new().set("class", "dots").set("cx", 2.5).set("cy", 2.5).set("r", 1);
    let dots = pattern("dots", 5).add(square("dots-paper", 5)).add(dot);
    Definitions::new().add(hatch).add(dots)
}

fn backgrounds(layout: &Layout) -> Group {
    let mut group = Group::new();
    for lane in &layout.lanes {
        let class = match (lane.look, lane.shaded) {
            (Look::Faulty, _) => "faulty",
            (_, true) => "shaded",
            _ => continue,
        };
        group.append(rectangle(class, 0.0, lane.top, WIDTH, lane.height));
        if lane.look == Look::Faulty {
            group.append(rectangle("faulty-border", 0.0, lane.top, 4.0, lane.height));
        }
    }
    group
}

fn grid(layout: &Layout) -> Group {
    let (top, bottom) = layout.plot;
    let mut group = Group::new();
    let mut lines = Data::new();
    for tick in &layout.ticks {
        lines = lines.move_to((round(tick.x), round(top))).vertical_line_to(round(bottom));
        let words = Words::new(&*tick.label).set("class", "faint").set("font-size", AXIS_SIZE);
        group.append(words.set("x", round(tick.x)).set("y", round(top - 8.0)).set("text-anchor", "middle"));
    }
    group.append(Path::new().set("class", "grid").set("d", lines));
    for y in [top, bottom] {
        group.append(Stroke::new().set("class", "border").set("x2", WIDTH).set("y1", round(y)).set("y2", round(y)));
    }
    group
}

fn kicks(layout: &Layout) -> Group {
    let many = layout.kicks.len() > MANY_KICKS;
    let (mut lines, mut tips) = (Data::new(), Data::new());
    for kick in &layout.kicks {
        lines = lines.move_to((round(kick.x), round(kick.from))).vertical_line_to(round(kick.to));
        if !many {
            let back = if kick.to > kick.from { -6.0 } else { 6.0 };
            let base = round(kick.to + back);
            let points = ((round(kick.x - 3.5), base), (round(kick.x + 3.5), base));
            tips = tips.move_to((round(kick.x), round(kick.to))).line_to(points.0).line_to(points.1).close();
        }
    }
    let lines = Path::new().set("class", if many { "kicks" } else { "kick" }).set("d", lines);
    Group::new().add(lines).add(Path::new().set("class", "tip").set("d", tips))
}

fn lanes(layout: &Layout) -> Group {
    let mut group = Group::new();
    for Lane { lines, bars, height, .. } in &layout.lanes {
        lines.iter().for_each(|one| group.append(line(one, *height)));
        bars.iter().for_each(|one| group.append(bar(one)));
    }
    group
}

/// A line, finer in low lanes.
fn line(line: &Line, height: f64) -> Stroke {
    let class = match line.kind {
        LineKind::Waiting if height < LOW => "waiting low",
        LineKind::Waiting => "waiting",
        LineKind::Online if height < LOW => "online low",
        LineKind::Online => "online",
    };
    let y = round(line.y);
    Stroke::new().set("class", class).set("x1", round(line.left)).set("x2", round(line.right)).set("y1", y).set("y2", y)
}

fn bar(bar: &Bar) -> Rectangle {
    let (class, pattern) = match bar.kind {
        BarKind::Span => ("span", None),
        BarKind::Open => ("open", None),
        BarKind::Missed => ("missed", Some("url(#hatch)")),
        BarKind::Lost => ("lost", Some("url(#dots)")),
    };
    let mut drawn = rectangle(class, bar.left, bar.top, bar.right - bar.left, bar.height);
    if let Some(pattern) = pattern {
        drawn.assign("fill", pattern);
    }
    if !bar.title.is_empty() {
        drawn.append(Title::new(super::text::clean(&bar.title)));
    }
    drawn
}

fn rectangle(class: &str, left: f64, top: f64, width: f64, height: f64) -> Rectangle {
    let drawn = Rectangle::new().set("class", class).set("x", round(left)).set("y", round(top));
    drawn.set("width", round(width)).set("height", round(height))
}

/// The mark of a time that is cut out, through all lanes, and how long it is.
fn tear(cut: &Cut, layout: &Layout) -> Group {
    let (top, bottom) = layout.plot;
    let (left, right) = (cut.left + 6.0, cut.right - 6.0);
    let edge = |x: f64| {
        let mut data = Data::new().move_to((round(x), round(top)));
        let (mut y, mut side) = (top, 1.0);
        while y < bottom {
            y = (y + 8.0).min(bottom);
            data = data.line_to((round(x + 2.0 * side), round(y)));
            side = -side;
        }
        Path::new().set("class", "tear").set("d", data)
    };
    let (x, y) = (round((left + right) / 2.0 + 4.0), round(top - 22.0));
    let words = Words::new(duration(cut.ns)).set("class", "faint").set("font-size", AXIS_SIZE);
    let words = words.set("transform", format!("translate({x} {y}) rotate(-90)"));
    let gap = rectangle("cut", left, top + 0.5, right - left, bottom - top - 1.0);
    Group::new().add(gap).add(edge(left)).add(edge(right)).add(words)
}

fn sign(sign: &Sign) -> Group {
    let Sign { x, y, radius, kind } = *sign;
    let group = Group::new();
    match kind {
        SignKind::Online => {
            let disc =
                Circle::new().set("class", "disc").set("cx", round(x)).set("cy", round(y)).set("r", round(radius));
            group.add(disc)
        }
        SignKind::Failed => {
            let r = radius * 0.8;
            let data = Data::new().move_to((round(x - r), round(y - r))).line_to((round(x + r), round(y + r)));
            let data = data.move_to((round(x - r), round(y + r))).line_to((round(x + r), round(y - r)));
            group.add(Path::new().set("class", "cross").set("d", data))
        }
        SignKind::Odd => {
            let data =
                Data::new().move_to((round(x), round(y - radius))).line_to((round(x + radius), round(y + radius)));
            let data = data.line_to((round(x - radius), round(y + radius))).close();
            group.add(Path::new().set("class", "triangle").set("d", data))
        }
        SignKind::Kick => {
            let shaft = Data::new().move_to((round(x), round(y - 7.0))).vertical_line_to(round(y + 1.0));
            let tip = Data::new().move_to((round(x), round(y + 7.0))).line_to((round(x - 3.5), round(y + 1.0)));
            let tip = tip.line_to((round(x + 3.5), round(y + 1.0))).close();
            let shaft = Path::new().set("class", "kick").set("d", shaft);
            group.add(shaft).add(Path::new().set("class", "tip").set("d", tip))
        }
        SignKind::Sample(sample) => group.add(self::sample(sample, x, y)),
    }
}

/// A piece of something, for the legend.
fn sample(sample: Sample, x: f64, y: f64) -> Group {
    let (left, right) = (x - 11.0, x + 11.0);
    match sample {
        Sample::Bar(kind) => {
            let piece = Bar { left, right, top: y - 5.0, height: 10.0, kind, title: String::new() };
            Group::new().add(bar(&piece))
        }
        Sample::Line(kind) => Group::new().add(line(&Line { left, right, y, kind }, LOW)),
        Sample::Cut => {
            let edge = |x: f64| {
                let data =
                    Data::new().move_to((round(x + 1.5), round(y - 7.0))).line_to((round(x - 1.5), round(y - 2.0)));
                let data = data.line_to((round(x + 1.5), round(y + 2.0))).line_to((round(x - 1.5), round(y + 7.0)));
                Path::new().set("class", "tear").set("d", data)
            };
            Group::new().add(edge(x - 4.0)).add(edge(x + 4.0))
        }
    }
}

/// What keeps a text apart from the lines that it stands on.
fn halo(lane: &Lane, text: &Text) -> &'static str {
    match (text.in_bar, lane.look, lane.shaded) {
        (true, ..) => "",
        (_, Look::Faulty, _) => " halo on-faulty",
        (.., true) => " halo on-shaded",
        _ => " halo",
    }
}

fn write(text: &Text, halo: &str) -> Words {
    let tone = match text.tone {
        Tone::Plain => "text",
        Tone::Faint => "faint",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Odd => "odd",
    };
    let bold = if text.bold { " bold" } else { "" };
    let anchor = match text.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let words = Words::new(&*text.text).set("class", format!("{tone}{bold}{halo}")).set("font-size", text.size);
    words.set("x", round(text.x)).set("y", round(text.y)).set("text-anchor", anchor)
}

/// Tenths are exact enough for a picture, and short.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use crate::report::{Report, sample};

    fn drawn(report: &Report) -> String {
        crate::timeline::draw(report)
    }

    /// The elements of a document, checked to be well-formed by a parser.
    fn parse(document: &str) -> Vec<String> {
        let events = svg::read(document).unwrap();
        let parsed = events.filter_map(|event| match event {
            svg::parser::Event::Tag(name, ..) => Some(name.to_owned()),
            svg::parser::Event::Error(error) => panic!("{error}"),
            _ => None,
        });
        parsed.collect()
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let mut report = sample::cpus(4);
        let hostile = "</text><script>alert(1)</script>&lt;\"'\u{0}\u{1b}]]>";
        report.machine = hostile.into();
        report.image = hostile.into();
        report.cpus[2].outcome = reveille_trace_format::Outcome::Stuck;
        report.cpus[2].reason = Some(hostile.into());
        report.cpus[1].events[0].name = hostile.into();
        let document = drawn(&report);
        assert!(!document.contains("<script") && document.contains("&lt;script&gt;"), "{document}");
        assert!(document.chars().all(|character| !character.is_control() || character == '\n'));
        assert!(!parse(&document).iter().any(|name| name == "script"));
    }

    #[test]
    fn the_same_report_gives_the_same_document() {
        assert_eq!(drawn(&sample::cpus(64)), drawn(&sample::cpus(64)));
    }

    #[test]
    fn five_hundred_and_twelve_cpus_make_a_document_of_sane_size() {
        let document = drawn(&sample::cpus(512));
        assert!(document.len() < 400_000, "{}", document.len());
        assert!(parse(&document).len() < 6_000);
    }

    #[test]
    fn light_and_dark_have_the_same_classes() {
        let css = include_str!("drawing.css");
        let (light, dark) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
        for class in light.lines().filter_map(|line| line.split_once(" {")).map(|(class, _)| class) {
            let without_colour = ["svg", ".bold", ".low"].contains(&class);
            assert!(without_colour || dark.contains(&format!("  {class} {{")), "{class}");
        }
    }

    /// The colour of a class in a part of the style sheet, as its relative luminance.
    fn luminance(css: &str, class: &str) -> f64 {
        let rule = css.split_once(&format!("{class} {{")).unwrap().1.split_once('}').unwrap().0;
        let hex = &rule.split_once('#').unwrap().1[..6];
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }

    #[test]
    fn texts_and_signs_stand_out_from_what_is_behind_them() {
        let css = include_str!("drawing.css");
        let (light, dark) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
        let texts = [".text", ".faint", ".good", ".bad", ".odd"].map(|class| (class, 4.5));
        let signs = [".disc", ".cross", ".triangle", ".kick", ".waiting", ".online"].map(|class| (class, 3.0));
        for scheme in [light, dark] {
            for (class, least) in texts.into_iter().chain(signs) {
                for behind in [".paper", ".shaded", ".faulty"] {
                    let (one, other) = (luminance(scheme, class), luminance(scheme, behind));
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= least, "{class} on {behind}: {contrast:.2}");
                }
            }
            let in_bars = [luminance(scheme, ".text"), luminance(scheme, ".span")];
            assert!((in_bars[0].max(in_bars[1]) + 0.05) / (in_bars[0].min(in_bars[1]) + 0.05) >= 4.5);
        }
    }
}
