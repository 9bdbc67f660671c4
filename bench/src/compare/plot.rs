//! Plots as inline SVG: bars with their spread, and latency by percentile.

use std::fmt::Write;

use super::spread::Spread;

const WIDTH: f64 = 860.0;
/// Left of the axis, where the names stand.
const LABEL_WIDTH: f64 = 250.0;
/// Right of the longest bar, where its figure stands.
const FIGURE_WIDTH: f64 = 150.0;
const BAR_HEIGHT: f64 = 15.0;
const GROUP_GAP: f64 = 10.0;
const WHISKER: &str = "#222";
const GRID: &str = "#ddd";

/// One bar.
pub(super) struct Bar {
    pub label: &'static str,
    pub color: &'static str,
    pub value: Spread,
}

/// Bars that stand together under a name.
pub(super) struct Group {
    pub name: String,
    pub bars: Vec<Bar>,
}

/// A line of a plot of latencies: percentile and milliseconds.
pub(super) struct Line<'a> {
    pub label: &'static str,
    pub color: &'static str,
    pub points: &'a [(f64, f64)],
}

/// Text that stands in XML as what it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Horizontal bars from zero, each with a whisker from the smallest to the largest value. Every group has a scale of
/// its own, or one that is far above the others would leave nothing of them.
pub(super) fn bars(title: &str, groups: &[Group], decimals: usize) -> String {
    let heights = groups.iter().map(|group| group.bars.len() as f64 * BAR_HEIGHT + GROUP_GAP + BAR_HEIGHT);
    let height = heights.sum::<f64>() + 10.0;
    let mut svg = open(title, height);
    let mut y = 5.0;
    for group in groups {
        let most = group.bars.iter().map(|bar| bar.value.max).fold(0.0, f64::max);
        let scale = if most > 0.0 { (WIDTH - LABEL_WIDTH - FIGURE_WIDTH) / most } else { 0.0 };
        y += BAR_HEIGHT;
        text(&mut svg, 0.0, y - 3.0, "start", &group.name);
        for bar in &group.bars {
            let (from, to) = (LABEL_WIDTH, LABEL_WIDTH + bar.value.median * scale);
            let middle = y + BAR_HEIGHT / 2.0;
            text(&mut svg, LABEL_WIDTH - 8.0, middle + 4.0, "end", bar.label);
            writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                y + 1.5,
                (to - from).max(1.0),
                BAR_HEIGHT - 3.0,
                bar.color
            )
            .expect("a string takes all");
            let (low, high) = (from + bar.value.min * scale, from + bar.value.max * scale);
            if bar.value.count > 1 {
                line(&mut svg, WHISKER, (low, middle), (high, middle));
                line(&mut svg, WHISKER, (low, middle - 3.0), (low, middle + 3.0));
                line(&mut svg, WHISKER, (high, middle - 3.0), (high, middle + 3.0));
            }
            let figure = format!("{:.decimals$}", bar.value.median);
            text(&mut svg, high.max(to) + 6.0, middle + 4.0, "start", &figure);
            y += BAR_HEIGHT;
        }
        y += GROUP_GAP;
    }
    svg + "</svg>\n"
}

/// Where the lines of a latency plot lie in it.
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 230.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 290.0;
/// The largest percentile that has a place of its own.
const NINES_MAX: f64 = 5.0;

/// Latency by percentile, both axes logarithmic: to the right each step is ten times rarer.
pub(super) fn percentiles(title: &str, lines: &[Line<'_>]) -> String {
    let values = || lines.iter().flat_map(|line| line.points).map(|point| point.1).filter(|ms| *ms > 0.0);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let mut svg = open(title, BOTTOM + 45.0);
    if high <= 0.0 {
        text(&mut svg, LEFT, 40.0, "start", "nothing measured");
        return svg + "</svg>\n";
    }
    let (first, last) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
    let x = |percentile: f64| {
        let nines = -(1.0 - percentile / 100.0).max(10f64.powf(-NINES_MAX)).log10();
        LEFT + nines.clamp(0.0, NINES_MAX) / NINES_MAX * (RIGHT - LEFT)
    };
    let y = |ms: f64| BOTTOM - (ms.log10().max(first) - first) / (last - first) * (BOTTOM - TOP);
    for decade in first as i32..=last as i32 {
        let ms = 10f64.powi(decade);
        line(&mut svg, GRID, (LEFT, y(ms)), (RIGHT, y(ms)));
        text(&mut svg, LEFT - 6.0, y(ms) + 4.0, "end", &format!("{ms} ms"));
    }
    for (percentile, name) in
        [(0.0, "min"), (90.0, "90%"), (99.0, "99%"), (99.9, "99.9%"), (99.99, "99.99%"), (99.999, "99.999%")]
    {
        line(&mut svg, GRID, (x(percentile), TOP), (x(percentile), BOTTOM));
        text(&mut svg, x(percentile), BOTTOM + 18.0, "middle", name);
    }
    for (number, of) in lines.iter().enumerate() {
        let points: String = of
            .points
            .iter()
            .map(|(percentile, ms)| format!("{:.1},{:.1} ", x(*percentile), y(*ms)))
            .collect();
        writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>",
            of.color,
            points.trim_end()
        )
        .expect("a string takes all");
        let at = TOP + 14.0 + number as f64 * 18.0;
        writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{}\"/>",
            RIGHT + 16.0,
            at - 6.0,
            of.color
        )
        .expect("a string takes all");
        text(&mut svg, RIGHT + 36.0, at, "start", of.label);
    }
    svg + "</svg>\n"
}

fn open(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#333\">\n<title>{}</title>\n",
        escaped(title)
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(content))
        .expect("a string takes all");
}

fn line(svg: &mut String, color: &str, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        svg,
        "<line stroke=\"{color}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    )
    .expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(median: f64) -> Bar {
        let value = Spread { median, min: median / 2.0, max: median * 2.0, count: 5 };
        Bar { label: "Logmill", color: "#123456", value }
    }

    /// The width of each bar, in order.
    fn widths(svg: &str) -> Vec<f64> {
        let rects = svg.lines().filter(|line| line.starts_with("<rect"));
        rects
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn a_bar_is_as_long_as_its_median_and_fits_with_its_whisker() {
        let group = Group { name: "a & b".into(), bars: vec![bar(10.0), bar(5.0)] };
        let svg = bars("x", &[group], 1);
        let widths = widths(&svg);
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.01, "{widths:?}");
        // The longest whisker ends where figures begin.
        assert!((widths[0] * 2.0 - (WIDTH - LABEL_WIDTH - FIGURE_WIDTH)).abs() < 1.0);
        assert!(svg.contains("a &amp; b"));
    }

    #[test]
    fn ten_times_rarer_and_ten_times_longer_are_steps_of_one_length() {
        let points = [(90.0, 1.0), (99.0, 10.0), (99.9, 100.0), (100.0, 100.0)];
        let svg = percentiles("x", &[Line { label: "Logmill", color: "#123456", points: &points }]);
        let line = svg.lines().find(|line| line.starts_with("<polyline")).unwrap();
        let list = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let at: Vec<(f64, f64)> = list
            .split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        for (step, axis) in [(at[1].0 - at[0].0, at[2].0 - at[1].0), (at[0].1 - at[1].1, at[1].1 - at[2].1)] {
            assert!((step - axis).abs() < 0.3 && step > 50.0, "{at:?}");
        }
        assert_eq!(at[3].0, RIGHT, "the longest stands at the end");
    }

    #[test]
    fn nothing_measured_is_said() {
        assert!(percentiles("x", &[]).contains("nothing measured"));
        assert!(bars("x", &[], 1).ends_with("</svg>\n"));
    }
}
