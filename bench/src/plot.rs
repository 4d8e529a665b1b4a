//! Two pictures as SVG: memory against connections, latency against load.
//!
//! Deliberately absent: files, and where the points come from.

use plotters::chart::ChartBuilder;
use plotters::element::PathElement;
use plotters::prelude::{IntoDrawingArea, IntoLogRange, LineSeries, SVGBackend, WHITE};
use plotters::style::{Color, RGBColor};

use crate::outcome::RampPoint;
use crate::stats::Summary;

const SIZE: (u32, u32) = (800, 480);
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

/// One line of a picture.
struct Series {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// MB of the server, resident and charged, while connections come.
pub fn memory_against_connections(ramp: &[RampPoint]) -> Result<String, String> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let of = |point: &RampPoint, bytes: u64| (point.connections as f64, megabytes(bytes));
    let resident = ramp.iter().map(|point| of(point, point.resident_bytes)).collect();
    let charged = ramp.iter().filter_map(|point| Some(of(point, point.charged_bytes?))).collect();
    let series = [
        Series { name: "resident", colour: BLUE, points: resident },
        Series { name: "charged to the cgroup", colour: ORANGE, points: charged },
    ];
    let right = end(&series, |point| point.0);
    let top = end(&series, |point| point.1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("Memory of the server against connections", ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..right, 0.0..top)
            .map_err(text)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("connections").y_desc("MB").x_label_formatter(&|x| format!("{x:.0}"));
        mesh.draw().map_err(text)?;
        draw(&mut chart, &series)?;
        area.present().map_err(text)?;
    }
    Ok(svg)
}

/// Milliseconds at the median and far out, against messages a second.
pub fn latency_against_load(points: &[LoadPoint]) -> Result<String, String> {
    let of = |pick: fn(&Summary) -> u64| {
        let ms = |point: &LoadPoint| pick(&point.latency).max(1_000) as f64 / 1e6;
        points.iter().map(|point| (f64::from(point.per_s), ms(point))).collect::<Vec<_>>()
    };
    let series = [
        Series { name: "p50", colour: BLUE, points: of(|latency| latency.p50_ns) },
        Series { name: "p99", colour: ORANGE, points: of(|latency| latency.p99_ns) },
        Series { name: "p99.9", colour: RED, points: of(|latency| latency.p999_ns) },
    ];
    let right = end(&series, |point| point.0);
    let top = end(&series, |point| point.1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("Latency of an echo against load, open loop", ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..right, (0.01..top.max(1.0)).log_scale())
            .map_err(text)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("messages a second").y_desc("ms").x_label_formatter(&|x| format!("{x:.0}"));
        mesh.draw().map_err(text)?;
        draw(&mut chart, &series)?;
        area.present().map_err(text)?;
    }
    Ok(svg)
}

/// A little beyond the farthest point, and never nothing.
fn end(series: &[Series], pick: fn(&(f64, f64)) -> f64) -> f64 {
    let all = series.iter().flat_map(|series| series.points.iter());
    all.map(pick).fold(1.0, f64::max) * 1.05
}

fn draw<'a, Y>(
    chart: &mut plotters::chart::ChartContext<
        'a,
        SVGBackend<'a>,
        plotters::coord::cartesian::Cartesian2d<plotters::coord::types::RangedCoordf64, Y>,
    >,
    series: &[Series],
) -> Result<(), String>
where
    Y: plotters::coord::ranged1d::Ranged<ValueType = f64>,
{
    for Series { name, colour, points } in series {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        let colour = *colour;
        chart
            .draw_series(line)
            .map_err(text)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
    }
    let mut labels = chart.configure_series_labels();
    labels.background_style(WHITE.mix(0.8)).border_style(BLUE).draw().map_err(text)
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
                connections: n * 100,
                resident_bytes: n * 45_000,
                charged_bytes: (n != 2).then_some(n * 195_000),
            })
            .collect();
        let latency = Summary { p50_ns: 50_000, p99_ns: 900_000, ..Summary::default() };
        let points = [LoadPoint { per_s: 1_000, latency }, LoadPoint { per_s: 5_000, latency }];
        for (svg, word) in [
            (memory_against_connections(&ramp).unwrap(), "charged to the cgroup"),
            (memory_against_connections(&[]).unwrap(), "connections"),
            (latency_against_load(&points).unwrap(), "p99.9"),
            (latency_against_load(&[]).unwrap(), "messages a second"),
        ] {
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains(word), "{word}");
        }
    }
}
