//! Curves over a common axis, as SVG that takes the page's text colour.

use super::escape::Escaped;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::fmt;
use std::ops::Range;

/// Size of a plot over most of the page, in pixels where the page does not scale it.
const LARGE: (u32, u32) = (800, 380);

/// Size of one of several plots side by side.
const SMALL: (u32, u32) = (380, 250);

/// Points that a curve is drawn with at most: more would not be seen.
const MAX_POINTS: usize = 500;

/// Share of a curve's points that its smoothed line averages over.
const SMOOTHING: f64 = 0.02;

/// Stands for the page's text colour, which a drawing cannot know; replaced in the finished SVG.
const INK: RGBColor = RGBColor(1, 2, 3);

/// Curve colours that can be told apart on light and dark ground.
const COLOURS: [RGBColor; 6] = [
    RGBColor(47, 126, 216),
    RGBColor(224, 123, 57),
    RGBColor(58, 157, 93),
    RGBColor(176, 85, 180),
    RGBColor(201, 79, 79),
    RGBColor(122, 127, 135),
];

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal steps.
    Linear,
    /// Equal factors; values that are not positive are left out.
    Log,
}

/// An axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Quantity and unit.
    pub(crate) label: String,
    /// Spread.
    pub(crate) scale: Scale,
}

/// One curve, and the values measured on held-out data that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// Name in the legend.
    pub(crate) name: String,
    /// `[x, y]`, x rising: a line.
    pub(crate) points: Vec<[f64; 2]>,
    /// `[x, y]`, x rising: dots of the same colour.
    pub(crate) held_out: Vec<[f64; 2]>,
}

/// Curves in one frame.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Heading, may be empty.
    pub(crate) title: String,
    /// Horizontal axis.
    pub(crate) x: Axis,
    /// Vertical axis.
    pub(crate) y: Axis,
    /// Curves in the order of the legend.
    pub(crate) curves: Vec<Curve>,
}

impl Axis {
    /// Equal steps.
    pub(crate) fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// Equal factors.
    pub(crate) fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }

    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }
}

impl Curve {
    /// A line without held-out values.
    pub(crate) fn new(name: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self { name: name.into(), points, held_out: Vec::new() }
    }
}

/// A plot in a size; displays as an HTML figure. Without any point that the axes can show, it says
/// so in words.
pub(super) struct Drawing<'p> {
    plot: &'p Plot,
    size: (u32, u32),
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plot = self.plot;
        write!(f, "<figure class=\"plot\">")?;
        if !plot.title.is_empty() {
            write!(f, "<h3>{}</h3>", Escaped(&plot.title))?;
        }
        let shown = plot.shown();
        let Some((x, y)) = ranges(&shown, &plot.x, &plot.y) else {
            return writeln!(f, "<figcaption>Nothing to show yet.</figcaption></figure>");
        };
        let log = |range: Range<f64>| {
            let ticks = log_ticks(&range);
            range.log_scale().with_key_points(ticks)
        };
        let svg = match (plot.x.scale, plot.y.scale) {
            (Scale::Linear, Scale::Linear) => self.svg(&shown, x, y),
            (Scale::Linear, Scale::Log) => self.svg(&shown, x, log(y)),
            (Scale::Log, Scale::Linear) => self.svg(&shown, log(x), y),
            (Scale::Log, Scale::Log) => self.svg(&shown, log(x), log(y)),
        };
        match svg {
            Ok(svg) => write!(f, "{svg}")?,
            Err(what) => write!(f, "<p>Not drawn: {}</p>", Escaped(&what))?,
        }
        plot.legend(f)?;
        writeln!(f, "</figure>")
    }
}

impl Plot {
    /// To be put over most of the page's width.
    pub(super) fn large(&self) -> Drawing<'_> {
        Drawing { plot: self, size: LARGE }
    }

    /// To be put beside others.
    pub(super) fn small(&self) -> Drawing<'_> {
        Drawing { plot: self, size: SMALL }
    }

    /// Which colour is which curve; nothing where the axis says it already.
    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_held_out = self.curves.iter().any(|curve| !curve.held_out.is_empty());
        if !has_held_out && matches!(&self.curves[..], [curve] if curve.name == self.y.label) {
            return Ok(());
        }
        write!(f, "<figcaption>")?;
        for (curve, RGBColor(r, g, b)) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let class = if curve.points.is_empty() { "dot" } else { "key" };
            write!(f, "<span><i class=\"{class}\" style=\"border-color:rgb({r},{g},{b})\"></i>")?;
            write!(f, "{}</span>", Escaped(&curve.name))?;
        }
        if self.curves.iter().any(|c| !c.points.is_empty() && !c.held_out.is_empty()) {
            write!(f, "<span><i class=\"dot\"></i>held out</span>")?;
        }
        write!(f, "</figcaption>")
    }

    /// The curves without what the axes cannot show.
    fn shown(&self) -> Vec<Curve> {
        let keep = |points: &[[f64; 2]]| -> Vec<[f64; 2]> {
            let shows = |p: &&[f64; 2]| self.x.shows(p[0]) && self.y.shows(p[1]);
            points.iter().filter(shows).copied().collect()
        };
        let shown = |curve: &Curve| Curve {
            name: curve.name.clone(),
            points: keep(&curve.points),
            held_out: keep(&curve.held_out),
        };
        self.curves.iter().map(shown).collect()
    }
}

impl Drawing<'_> {
    fn svg<X, Y>(&self, shown: &[Curve], x: X, y: Y) -> Result<String, String>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let mut svg = String::new();
        self.draw(&mut svg, shown, x, y).map_err(|error| error.to_string())?;
        let RGBColor(r, g, b) = INK;
        Ok(svg.replace(&format!("#{r:02X}{g:02X}{b:02X}"), "currentColor"))
    }

    fn draw<X, Y>(
        &self,
        svg: &mut String,
        shown: &[Curve],
        x: X,
        y: Y,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let area = SVGBackend::with_string(svg, self.size).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        let text = ("sans-serif", 13).into_font().color(&INK);
        chart
            .configure_mesh()
            .x_desc(&self.plot.x.label)
            .y_desc(&self.plot.y.label)
            .x_labels(self.size.0 as usize / 95)
            .y_labels(6)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| number(*value))
            .label_style(text.clone())
            .axis_desc_style(text)
            .axis_style(INK.mix(0.5))
            .bold_line_style(INK.mix(0.12))
            .light_line_style(INK.mix(0.0))
            .draw()?;
        for (curve, colour) in shown.iter().zip(COLOURS.iter().cycle()) {
            let lines = lines(&curve.points);
            if let Some(raw) = lines.raw {
                chart.draw_series(LineSeries::new(raw, colour.mix(0.3).stroke_width(1)))?;
            }
            chart.draw_series(LineSeries::new(lines.smooth, colour.stroke_width(2)))?;
            let dots = curve.held_out.iter().map(|&[x, y]| (x, y));
            chart.draw_series(LineSeries::new(dots.clone(), colour.mix(0.6).stroke_width(1)))?;
            let dot = ShapeStyle::from(colour).stroke_width(2);
            chart.draw_series(dots.map(|point| Circle::new(point, 4, dot)))?;
        }
        area.present()?;
        Ok(())
    }
}

/// What a line is drawn from.
struct Lines {
    /// How far single values scatter; absent where every value is in `smooth`.
    raw: Option<Vec<(f64, f64)>>,
    smooth: Vec<(f64, f64)>,
}

/// A line of few points as it is; of many, a running average over the range of the values.
fn lines(points: &[[f64; 2]]) -> Lines {
    const FEW: usize = 100;
    if points.len() <= FEW {
        return Lines { raw: None, smooth: points.iter().map(|&[x, y]| (x, y)).collect() };
    }
    let stride = points.len().div_ceil(MAX_POINTS);
    let raw = points
        .chunks(stride)
        .flat_map(|chunk| {
            let extreme = |is_better: fn(f64, f64) -> bool| {
                chunk.iter().copied().reduce(|a, b| if is_better(b[1], a[1]) { b } else { a })
            };
            let both = [extreme(|a, b| a < b), extreme(|a, b| a > b)];
            let mut both: Vec<[f64; 2]> = both.into_iter().flatten().collect();
            both.sort_by(|a, b| a[0].total_cmp(&b[0]));
            both.dedup();
            both.into_iter().map(|[x, y]| (x, y))
        })
        .collect();
    let reach = ((points.len() as f64 * SMOOTHING / 2.0).ceil() as usize).max(1);
    let smooth = (0..points.len())
        .step_by(stride)
        .map(|at| {
            let window = &points[at.saturating_sub(reach)..(at + reach + 1).min(points.len())];
            let mean = window.iter().map(|p| p[1]).sum::<f64>() / window.len() as f64;
            (points[at][0], mean)
        })
        .collect();
    Lines { raw: Some(raw), smooth }
}

/// What the axes must cover, `None` without a point.
fn ranges(curves: &[Curve], x: &Axis, y: &Axis) -> Option<(Range<f64>, Range<f64>)> {
    let points = || curves.iter().flat_map(|curve| curve.points.iter().chain(&curve.held_out));
    let range = |axis: usize, scale: Scale, margin: f64| {
        let least = points().map(|p| p[axis]).reduce(f64::min)?;
        let most = points().map(|p| p[axis]).reduce(f64::max)?;
        Some(match scale {
            Scale::Linear => {
                let spread = (most - least).max(1e-9 * least.abs().max(most.abs())).max(1e-12);
                least - margin * spread..most + margin * spread
            }
            Scale::Log => {
                let factor = (most / least).max(1.0 + 1e-6).powf(margin.max(1e-3));
                least / factor..most * factor
            }
        })
    };
    Some((range(0, x.scale, 0.0)?, range(1, y.scale, 0.05)?))
}

/// Where a logarithmic axis has labels: at powers of ten, and between them where there are few.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    const FEWEST: usize = 4;
    const MOST: usize = 8;
    let decades = (range.start.log10().floor() as i32)..=(range.end.log10().ceil() as i32);
    for mantissas in [&[1.0][..], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]] {
        let all = decades.clone().flat_map(|d| mantissas.iter().map(move |m| m * 10f64.powi(d)));
        let ticks: Vec<f64> = all.filter(|tick| range.contains(tick)).collect();
        if ticks.len() >= FEWEST {
            let stride = ticks.len().div_ceil(MOST);
            return ticks.into_iter().step_by(stride).collect();
        }
    }
    // So short an axis is nearly linear.
    let rough = (range.end - range.start) / FEWEST as f64;
    let unit = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|m| m * unit).into_iter().rfind(|&s| s <= rough).unwrap_or(unit);
    let first = (range.start / step).ceil();
    let ticks = (0..=2 * MOST).map(|tick| (first + tick as f64) * step);
    ticks.take_while(|tick| *tick < range.end).collect()
}

/// A label on an axis: plain where that is short.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 || (size > 0.0 && size < 1e-3) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, curves: Vec<Curve>) -> String {
        let axis = |label: &str| Axis { label: label.to_owned(), scale };
        Plot { title: "t".to_owned(), x: axis("step"), y: axis("<loss>"), curves }
            .large()
            .to_string()
    }

    #[test]
    fn any_numbers_can_be_drawn() {
        let odd = vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, -1.0], [4.0, 0.0]];
        for scale in [Scale::Linear, Scale::Log] {
            for points in [odd.clone(), vec![[1.0, 1.0]], vec![[1.0, 5.0], [2.0, 5.0]]] {
                let mut curve = Curve::new("a", points);
                curve.held_out = vec![[2.0, 0.5]];
                let html = plot(scale, vec![curve]);
                assert!(html.contains("<svg") && html.contains("currentColor"), "{scale:?} {html}");
                assert!(html.contains("&lt;loss&gt;"), "labels are escaped: {html}");
                assert!(!html.contains("NaN") && !html.contains("Not drawn"), "{html}");
            }
            let html = plot(scale, vec![Curve::new("b", vec![[1.0, f64::NAN]])]);
            assert!(html.contains("Nothing to show yet"), "{html}");
        }
    }

    #[test]
    fn long_curves_are_thinned_and_keep_their_extremes() {
        let points: Vec<[f64; 2]> =
            (0..100_000).map(|i| [f64::from(i), if i == 77_777 { 9.0 } else { 1.0 }]).collect();
        let Lines { raw, smooth } = lines(&points);
        let raw = raw.expect("there are many points");
        assert!(raw.len() <= 2 * MAX_POINTS && smooth.len() <= MAX_POINTS);
        assert!(raw.contains(&(77_777.0, 9.0)));
        assert!(raw.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn logarithmic_axes_always_have_labels() {
        assert_eq!(log_ticks(&(0.5..20_000.0)), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(log_ticks(&(0.3..12.0)), [0.5, 1.0, 2.0, 5.0, 10.0]);
        for range in [1e-300..1e300, 0.123..0.124, 1.0..1.000_001, 0.2..0.9, 3.0..1e4] {
            let ticks = log_ticks(&range);
            assert!((3..=17).contains(&ticks.len()), "{range:?}: {ticks:?}");
            assert!(ticks.iter().all(|tick| range.contains(tick)), "{range:?}: {ticks:?}");
        }
    }

    #[test]
    fn axis_labels_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (1500.0, "1500"),
            (2e6, "2e6"),
            (2e-5, "2e-5"),
            (-3.0, "-3"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
