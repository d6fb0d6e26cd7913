//! Charts: time and memory against the number of parameters, both logarithmic.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::tables::{most_threads, threads_text};
use crate::error::BenchError;
use crate::facts::Facts;
use crate::record::{Record, Report};
use crate::suites::hvp::Op;
use crate::units;

/// The lines with their colours (of Okabe and Ito, which colour-blind people tell apart).
const LINES: [(Op, &str, RGBColor); 5] = [
    (
        Op::NewtonCholesky,
        "Newton step by Cholesky",
        RGBColor(213, 94, 0),
    ),
    (Op::Hessian, "full Hessian", RGBColor(230, 159, 0)),
    (
        Op::NewtonCg,
        "Newton step by CG on products",
        RGBColor(0, 158, 115),
    ),
    (Op::Hvp, "Hessian-vector product", RGBColor(0, 114, 178)),
    (Op::ValueAndGrad, "gradient", RGBColor(86, 86, 86)),
];

const SIZE: (u32, u32) = (960, 640);

/// A line's points (n, value), and where it would go on: beyond the budget.
struct Line {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
    refused: Vec<(f64, f64)>,
}

/// What a chart shows.
struct Chart {
    name: String,
    title: String,
    label: &'static str,
    unit: fn(f64) -> String,
    lines: Vec<Line>,
}

/// The charts as (file name, SVG): one of time and one of memory for each number type, on the most
/// threads that were measured.
///
/// # Errors
/// [`BenchError::Chart`].
pub(super) fn charts(report: &Report, facts: &Facts) -> Result<Vec<(String, String)>, BenchError> {
    let mut charts = Vec::new();
    for (dtype, threads) in report.settings() {
        if Some(threads) != most_threads(report) {
            continue;
        }
        let setting = (dtype.as_str(), threads);
        let text = format!("{dtype}, {}, batch 256", threads_text(threads));
        charts.push(Chart {
            name: format!("time_{dtype}.svg"),
            title: format!("Time of a call ({text})"),
            label: "time",
            unit: units::seconds,
            lines: lines(report, setting, |record| record.seconds_min, |_| None),
        });
        let refused = |op: Op| {
            let wanted =
                move |r: &&crate::facts::Refusal| r.op == op.name() && r.dtype == setting.0;
            let points = facts.refused.iter().filter(wanted);
            let points = points.filter(|refusal| refusal.n <= 2_000_000);
            Some(points.map(|r| (r.n as f64, r.required_bytes)).collect())
        };
        charts.push(Chart {
            name: format!("memory_{dtype}.svg"),
            title: format!("Peak memory of a call ({text}); open circles: refused"),
            label: "memory",
            unit: units::bytes,
            lines: lines(
                report,
                setting,
                |r| r.peak_bytes.map(|bytes| bytes as f64),
                refused,
            ),
        });
    }
    charts.retain(|chart| chart.lines.iter().any(|line| !line.points.is_empty()));
    charts
        .into_iter()
        .map(|chart| match draw(&chart) {
            Ok(svg) => Ok((chart.name, svg)),
            Err(error) => Err(BenchError::Chart {
                name: chart.name,
                message: error,
            }),
        })
        .collect()
}

fn lines(
    report: &Report,
    (dtype, threads): (&str, usize),
    value: impl Fn(&Record) -> Option<f64>,
    refused: impl Fn(Op) -> Option<Vec<(f64, f64)>>,
) -> Vec<Line> {
    let line = |(op, name, color): (Op, &'static str, RGBColor)| {
        let point = |(case, n): (String, u64)| {
            let value = value(report.find(&case, op.name(), dtype, threads)?)?;
            // Nothing is drawn at or below zero on a logarithmic axis.
            (value > 0.0).then_some((n as f64, value))
        };
        let mut refused = refused(op).unwrap_or_default();
        refused.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line {
            name,
            color,
            points: report.cases().into_iter().filter_map(point).collect(),
            refused,
        }
    };
    LINES.into_iter().map(line).collect()
}

/// `10 ms` for `10.0 ms`: what stands at an axis is a power of ten.
fn whole(text: &str) -> String {
    text.replace(".00 ", " ").replace(".0 ", " ")
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values {
        (low, high) = (low.min(value), high.max(value));
    }
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    10_f64.powf(low)..10_f64.powf(high.max(low + 1.0))
}

fn draw(chart: &Chart) -> Result<String, String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw_on(&area, chart)?;
    drop(area);
    Ok(svg)
}

fn draw_on(area: &DrawingArea<SVGBackend<'_>, Shift>, chart: &Chart) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    area.fill(&WHITE).map_err(|e| text(&e))?;
    let all = || {
        let lines = chart.lines.iter();
        lines.flat_map(|line| line.points.iter().chain(&line.refused).copied())
    };
    let n = decades(all().map(|point| point.0));
    let values = decades(all().map(|point| point.1));
    let mut context = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 22))
        .margin(16)
        .margin_right(48)
        .x_label_area_size(52)
        .y_label_area_size(92)
        .build_cartesian_2d(n.log_scale(), values.log_scale())
        .map_err(|e| text(&e))?;
    context
        .configure_mesh()
        .x_desc("parameters n")
        .y_desc(chart.label)
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 18))
        .bold_line_style(RGBColor(205, 205, 205))
        .light_line_style(RGBColor(240, 240, 240))
        .x_label_formatter(&|n| units::count(*n as u64))
        .y_label_formatter(&|value| whole(&(chart.unit)(*value)))
        .draw()
        .map_err(|e| text(&e))?;
    for line in chart.lines.iter().filter(|line| !line.points.is_empty()) {
        let color = line.color;
        let series = LineSeries::new(line.points.iter().copied(), color.stroke_width(3));
        let legend = move |(x, y): (i32, i32)| {
            PathElement::new(vec![(x, y), (x + 24, y)], color.stroke_width(3))
        };
        let drawn = context.draw_series(series).map_err(|e| text(&e))?;
        drawn.label(line.name).legend(legend);
        let dots = line
            .points
            .iter()
            .map(|&at| Circle::new(at, 4, color.filled()));
        context.draw_series(dots).map_err(|e| text(&e))?;
        let beyond = line.points.last().into_iter().chain(&line.refused).copied();
        let thin = LineSeries::new(beyond, color.stroke_width(1));
        context.draw_series(thin).map_err(|e| text(&e))?;
        let open = line
            .refused
            .iter()
            .map(|&at| Circle::new(at, 4, color.stroke_width(2)));
        context.draw_series(open).map_err(|e| text(&e))?;
    }
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(14)
        .legend_area_size(34)
        .label_font(("sans-serif", 16))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .draw()
        .map_err(|e| text(&e))?;
    area.present().map_err(|e| text(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_span_whole_decades() {
        let range = decades([2e-5, 3e-3].into_iter());
        assert!((range.start / 1e-5 - 1.0).abs() < 1e-12 && (range.end / 1e-2 - 1.0).abs() < 1e-12);
        let single = decades([100.0].into_iter());
        assert!(single.end > single.start);
    }

    #[test]
    fn a_run_without_measurements_has_no_charts() {
        assert!(
            charts(&Report::default(), &Facts::default())
                .unwrap()
                .is_empty()
        );
    }
}
