//! A chart of performance profiles.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::profile::Profile;
use crate::error::BenchError;

const SIZE: (u32, u32) = (960, 640);

/// Ratios up to here are drawn.
const MOST: f64 = 100.0;

/// The profiles as SVG, over τ on a logarithmic axis.
pub(super) fn svg(title: &str, profiles: &[Profile]) -> Result<String, BenchError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw(&area, title, profiles).map_err(|error| error.to_string());
    drop(area);
    drawn.map_err(|message| BenchError::Chart {
        name: title.into(),
        message,
    })?;
    Ok(svg)
}

/// The steps of ρ: level up to each ratio, then up.
fn steps(profile: &Profile) -> Vec<(f64, f64)> {
    let mut points = vec![(1.0, profile.at(1.0))];
    for &ratio in profile
        .ratios
        .iter()
        .filter(|&&ratio| 1.0 < ratio && ratio <= MOST)
    {
        let before = points[points.len() - 1].1;
        points.extend([(ratio, before), (ratio, profile.at(ratio))]);
    }
    points.push((MOST, points[points.len() - 1].1));
    points
}

/// Colours that go round; this project's methods are drawn thick.
fn style(at: usize, profile: &Profile, count: usize) -> ShapeStyle {
    let hue = at as f64 / count as f64;
    let width = if profile.method.starts_with("ours") {
        3
    } else {
        1
    };
    HSLColor(hue, 0.75, 0.42).stroke_width(width)
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    profiles: &[Profile],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let mut context = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .margin_right(36)
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d((1.0..MOST).log_scale(), 0.0..1.0)?;
    context
        .configure_mesh()
        .x_desc("τ, times the least cost")
        .y_desc("share of tasks solved")
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 18))
        .bold_line_style(RGBColor(205, 205, 205))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for (at, profile) in profiles.iter().enumerate() {
        let style = style(at, profile, profiles.len());
        let series = context.draw_series(LineSeries::new(steps(profile), style))?;
        series
            .label(&profile.method)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 24, y)], style));
    }
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .margin(14)
        .legend_area_size(34)
        .label_font(("sans-serif", 14))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_rise_at_the_ratios_and_a_chart_can_be_drawn() {
        let profile = Profile {
            method: "ours: a <b>".into(),
            ratios: vec![1.0, 3.0, 1e4],
            n_tasks: 4,
        };
        let expected = [(1.0, 0.25), (3.0, 0.25), (3.0, 0.5), (MOST, 0.5)];
        assert_eq!(steps(&profile), expected);
        let text = svg("by products", &[profile]).unwrap();
        assert!(text.starts_with("<svg") && text.contains("by products"));
    }
}
