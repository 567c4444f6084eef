//! Plots: lines over a logarithmic axis, as SVG that is readable on light and dark pages.

use crate::rounds::Spread;
use std::fmt::Write;

/// The size of the picture, in pixels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;

/// Margins for the numbers of the axes, on the left and at the bottom, and for text beyond them.
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 48.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;

/// The number of grey grid lines.
const GRID: usize = 4;

/// Colours that are visible on white and on black, one for each line.
const COLOURS: [&str; 4] = ["#3b82f6", "#f97316", "#10b981", "#a855f7"];

/// One picture.
#[derive(Debug)]
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) across: &'a str,
    /// At least one line, all with the same x values.
    pub(crate) lines: Vec<Line<'a>>,
}

/// One line of it.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// The varied number, rising and above 0, and the measured value.
    pub(crate) points: Vec<(f64, Spread)>,
}

impl Plot<'_> {
    /// The picture as SVG. The vertical axis begins at 0, so that differences do not look larger than they are.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let most = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let top = round_up(points().map(|(_, y)| y.max).fold(0.0, f64::max));
        let across =
            |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * (x / least).ln() / (most / least).ln().max(f64::MIN_POSITIVE);
        let up = |y: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / top;

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <style>text {{ fill: #374151 }} .grid {{ stroke: #9ca3af; stroke-opacity: 0.4 }} \
             @media (prefers-color-scheme: dark) {{ text {{ fill: #d1d5db }} }}</style>\n\
             <title>{}</title>\n",
            self.title
        );
        text(&mut svg, LEFT, 16.0, "start", &format!("{}, requests/s", self.title));
        for step in 0..=GRID {
            let value = top * step as f64 / GRID as f64;
            let y = up(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                WIDTH - RIGHT
            );
            text(&mut svg, LEFT - 8.0, y + 4.0, "end", &format!("{value:.0}"));
        }
        for (x, _) in &self.lines[0].points {
            text(&mut svg, across(*x), HEIGHT - BOTTOM + 18.0, "middle", &x.to_string());
        }
        text(&mut svg, f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 8.0, "middle", self.across);
        for (number, (line, colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let path: Vec<_> =
                line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(y.median))).collect();
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                path.join(" ")
            );
            for (x, y) in &line.points {
                let (x, low, high) = (across(*x), up(y.min), up(y.max));
                let _ = writeln!(
                    svg,
                    "<line stroke=\"{colour}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/>"
                );
                let _ = writeln!(svg, "<circle fill=\"{colour}\" r=\"3\" cx=\"{x:.1}\" cy=\"{:.1}\"/>", up(y.median));
            }
            let x = LEFT + 130.0 * number as f64;
            let _ = writeln!(svg, "<rect fill=\"{colour}\" x=\"{x}\" y=\"22\" width=\"10\" height=\"10\"/>");
            text(&mut svg, x + 15.0, 31.0, "start", line.name);
        }
        svg + "</svg>\n"
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// The next number above `value` that is a multiple of [`GRID`] times a tenth of its largest power of ten: 12,345
/// gives 16,000.
fn round_up(value: f64) -> f64 {
    let unit = 10_f64.powf(value.max(1.0).log10().floor() - 1.0) * GRID as f64;
    (value.max(1.0) / unit).ceil() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertical_axis_ends_at_a_round_number() {
        assert_eq!(round_up(12_345.0), 16_000.0);
        assert_eq!(round_up(12_000.0), 12_000.0);
        assert_eq!(round_up(95.0), 96.0);
    }

    #[test]
    fn a_line_spans_the_whole_plot() {
        let spread = |median| Spread { median, min: median, max: median };
        let points = vec![(1.0, spread(40.0)), (10.0, spread(20.0)), (100.0, spread(0.0))];
        let plot = Plot { title: "t", across: "services", lines: vec![Line { name: "fresh", points }] };
        let svg = plot.svg();
        assert!(svg.contains("points=\"64.0,40.0 344.0,156.0 624.0,272.0\""), "{svg}");
        assert!(svg.contains(">services<") && svg.contains(">fresh<") && svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn a_plot_of_one_point_has_valid_coordinates() {
        let spread = Spread { median: 1.0, min: 1.0, max: 1.0 };
        let plot = Plot { title: "t", across: "x", lines: vec![Line { name: "l", points: vec![(5.0, spread)] }] };
        assert!(!plot.svg().contains("NaN"), "{}", plot.svg());
    }
}
