//! Curves over a common axis, as SVG that takes the page's text colour.

use super::escape::Escaped;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::fmt;
use std::ops::Range;

/// Size of the drawing, in units that the page scales.
const SIZE: (u32, u32) = (760, 360);

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

impl fmt::Display for Plot {
    /// An HTML figure. Without any point that the axes can show, it says so in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<figure class=\"plot\">")?;
        if !self.title.is_empty() {
            write!(f, "<h3>{}</h3>", Escaped(&self.title))?;
        }
        let shown = self.shown();
        let Some((x, y)) = ranges(&shown, &self.x, &self.y) else {
            return writeln!(f, "<figcaption>Nothing to show yet.</figcaption></figure>");
        };
        let svg = match (self.x.scale, self.y.scale) {
            (Scale::Linear, Scale::Linear) => self.svg(&shown, x, y),
            (Scale::Linear, Scale::Log) => self.svg(&shown, x, y.log_scale()),
            (Scale::Log, Scale::Linear) => self.svg(&shown, x.log_scale(), y),
            (Scale::Log, Scale::Log) => self.svg(&shown, x.log_scale(), y.log_scale()),
        };
        match svg {
            Ok(svg) => write!(f, "{svg}")?,
            Err(what) => write!(f, "<p>Not drawn: {}</p>", Escaped(&what))?,
        }
        write!(f, "<figcaption>")?;
        for (curve, colour) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let RGBColor(r, g, b) = colour;
            let (class, name) = match curve.points.is_empty() {
                true => ("dot", Escaped(&curve.name)),
                false => ("key", Escaped(&curve.name)),
            };
            write!(
                f,
                "<span><i class=\"{class}\" style=\"border-color:rgb({r},{g},{b})\"></i>{name}</span>"
            )?;
        }
        if self.curves.iter().any(|c| !c.points.is_empty() && !c.held_out.is_empty()) {
            write!(f, "<span><i class=\"dot\"></i>held out</span>")?;
        }
        writeln!(f, "</figcaption></figure>")
    }
}

impl Plot {
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
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        let text = ("sans-serif", 13).into_font().color(&INK);
        chart
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_labels(8)
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
        Plot { title: "t".to_owned(), x: axis("step"), y: axis("<loss>"), curves }.to_string()
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
