//! Two pictures as SVG: memory against connections, latency against load.
//!
//! Deliberately absent: files, and where the points come from.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::element::PathElement;
use plotters::prelude::{IntoDrawingArea, IntoLogRange, LineSeries, SVGBackend, WHITE};
use plotters::style::{Color, RGBColor};

use crate::number::number;
use crate::outcome::RampPoint;
use crate::stats::Summary;

const SIZE: (u32, u32) = (800, 480);

/// Where the logarithmic scale of latencies begins.
const MS_MIN: f64 = 0.01;

const BLUE: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const ORANGE: RGBColor = RGBColor(0xff, 0x7f, 0x0e);
const RED: RGBColor = RGBColor(0xd6, 0x27, 0x28);

/// Latency at one rate.
#[derive(Clone, Copy, Debug)]
pub struct LoadPoint {
    /// Messages a second.
    pub per_s: u32,
    /// From the intended time.
    pub latency: Summary,
}

/// MB of the server, resident and charged, while connections come.
pub fn memory_against_connections(ramp: &[RampPoint]) -> Result<String, String> {
    let of = |point: &RampPoint, bytes: u64| (point.connections as f64, bytes as f64 / 1e6);
    let resident = ramp.iter().map(|point| of(point, point.resident_bytes)).collect();
    let charged = ramp.iter().filter_map(|point| Some(of(point, point.charged_bytes?))).collect();
    let picture = Picture {
        title: "Memory of the server against connections",
        across: "connections",
        up: "memory (MB)",
        legend: SeriesLabelPosition::UpperLeft,
        series: vec![
            Series { name: "charged to the cgroup", colour: ORANGE, points: charged },
            Series { name: "resident", colour: BLUE, points: resident },
        ],
    };
    picture.draw(0.0..picture.end(|point| point.1))
}

/// Milliseconds at the median and far out, against messages a second.
pub fn latency_against_load(points: &[LoadPoint]) -> Result<String, String> {
    let of = |pick: fn(&Summary) -> u64| {
        let ms = |point: &LoadPoint| (pick(&point.latency) as f64 / 1e6).max(MS_MIN);
        points.iter().map(|point| (f64::from(point.per_s), ms(point))).collect::<Vec<_>>()
    };
    let picture = Picture {
        title: "Latency of an echo against load, open loop",
        across: "messages a second",
        up: "latency (ms)",
        // Between a median and a p99 that are decades apart.
        legend: SeriesLabelPosition::MiddleRight,
        series: vec![
            Series { name: "p99.9", colour: RED, points: of(|latency| latency.p999_ns) },
            Series { name: "p99", colour: ORANGE, points: of(|latency| latency.p99_ns) },
            Series { name: "p50", colour: BLUE, points: of(|latency| latency.p50_ns) },
        ],
    };
    picture.draw((MS_MIN..picture.end(|point| point.1)).log_scale())
}

/// What a picture shows, but for the scale of its heights. Series from the upper to
/// the lower, so that the legend has the order of the lines.
struct Picture {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    /// Where no line is.
    legend: SeriesLabelPosition,
    series: Vec<Series>,
}

/// One line of a picture.
struct Series {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

impl Picture {
    fn draw<Y>(&self, heights: Y) -> Result<String, String>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..self.end(|point| point.0), heights)
            .map_err(text)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.across).y_desc(self.up).axis_desc_style(("sans-serif", 15));
        // So few along the bottom that a million finds its place between its neighbours.
        mesh.x_labels(8).max_light_lines(1).label_style(("sans-serif", 13));
        mesh.x_label_formatter(&|x| number(*x)).y_label_formatter(&|y| number(*y));
        mesh.draw().map_err(text)?;
        for Series { name, colour, points } in &self.series {
            let colour = *colour;
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            let drawn = chart.draw_series(line).map_err(text)?;
            drawn.label(*name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
            });
        }
        let mut labels = chart.configure_series_labels();
        labels.position(self.legend.clone()).label_font(("sans-serif", 14));
        labels.background_style(WHITE.mix(0.8)).border_style(BLUE).draw().map_err(text)?;
        area.present().map_err(text)?;
        drop((chart, area));
        Ok(svg)
    }

    /// A little beyond the farthest point, and never nothing.
    fn end(&self, pick: fn(&(f64, f64)) -> f64) -> f64 {
        let all = self.series.iter().flat_map(|series| series.points.iter());
        all.map(pick).fold(1.0, f64::max) * 1.05
    }
}

fn text(error: impl std::fmt::Display) -> String {
    format!("a plot could not be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_are_drawn_from_many_points_and_from_none() {
        let ramp: Vec<RampPoint> = (1..5)
            .map(|n| RampPoint {
                connections: n * 250_000,
                resident_bytes: n * 112_000_000,
                charged_bytes: (n != 2).then_some(n * 490_000_000),
            })
            .collect();
        let latency = Summary { p50_ns: 50_000, p99_ns: 900_000, ..Summary::default() };
        let points = [LoadPoint { per_s: 1_000, latency }, LoadPoint { per_s: 5_000, latency }];
        for (svg, words) in [
            (
                memory_against_connections(&ramp),
                &["connections", "memory (MB)", "1,000,000", "charged to the cgroup"][..],
            ),
            (memory_against_connections(&[]), &["connections", "memory (MB)"]),
            (
                latency_against_load(&points),
                &["messages a second", "latency (ms)", "0.1", "5,000", "p99.9"],
            ),
            (latency_against_load(&[]), &["messages a second", "latency (ms)"]),
        ] {
            let svg = svg.unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            for word in words {
                assert!(svg.lines().any(|line| line.trim() == *word), "{word} in {svg}");
            }
        }
    }
}
