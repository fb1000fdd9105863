//! Line charts, side by side.

use plotters::prelude::*;

use super::labels::{leader, place};
use super::{Area, Draw, Drawn, FONT, GRID, INK, Scale, axis_number, message, range, text};

/// A line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub name: String,
    pub color: RGBColor,
    pub points: Vec<(f64, f64)>,
}

/// A chart of several lines.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub title: String,
    pub axes: [String; 2],
    /// Names for 0, 1 and so on on the horizontal axis; empty if it shows numbers.
    pub names: Vec<String>,
    pub lines: Vec<Line>,
    /// Whether the legend is in the upper right corner instead of the upper left.
    pub names_right: bool,
    /// Which axes are logarithmic.
    pub scale: Scale,
}

/// Charts side by side.
pub(crate) struct LineCharts(pub Vec<Panel>);

const PANEL: (u32, u32) = (640, 480);

impl Draw for LineCharts {
    fn size(&self) -> (u32, u32) {
        (PANEL.0 * self.0.len().max(1) as u32, PANEL.1)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        let panels = area.split_evenly((1, self.0.len().max(1)));
        panels.iter().zip(&self.0).try_for_each(|(area, panel)| draw(area, panel))
    }
}

fn draw<DB: DrawingBackend>(area: &Area<'_, DB>, panel: &Panel) -> Drawn {
    let is_log_x = matches!(panel.scale, Scale::LogX | Scale::LogLog);
    let is_log_y = matches!(panel.scale, Scale::LogY | Scale::LogLog);
    let scaled = |&(x, y): &(f64, f64)| {
        let log = |is_log: bool, value: f64| if is_log { value.log10() } else { value };
        (log(is_log_x, x), log(is_log_y, y))
    };
    let points = || panel.lines.iter().flat_map(|line| line.points.iter().map(scaled));
    let are_points = panel.lines.iter().all(|line| line.points.len() == 1);
    let ys = range(points().map(|point| point.1).chain((!is_log_y && !are_points).then_some(0.0)));
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, (FONT, 22).into_font().color(&INK))
        .margin(14)
        .x_label_area_size(56)
        .y_label_area_size(76)
        .build_cartesian_2d(range(points().map(|point| point.0)), ys.start..ys.end + 0.22 * (ys.end - ys.start))
        .map_err(message)?;
    let named = |value: &f64| {
        let is_whole = (value - value.round()).abs() < 1e-6 && *value > -0.5;
        if is_whole { panel.names.get(value.round() as usize).cloned().unwrap_or_default() } else { String::new() }
    };
    let unscaled = |is_log: bool, value: &f64| if is_log { power_of_ten(*value) } else { axis_number(value) };
    let number = |value: &f64| if panel.names.is_empty() { unscaled(is_log_x, value) } else { named(value) };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(if panel.names.is_empty() { 7 } else { panel.names.len() + 1 })
        .x_desc(&panel.axes[0])
        .y_desc(&panel.axes[1])
        .label_style((FONT, 16).into_font().color(&INK))
        .axis_desc_style((FONT, 18).into_font().color(&INK))
        .x_label_formatter(&number)
        .y_label_formatter(&|value: &f64| unscaled(is_log_y, value))
        .draw()
        .map_err(message)?;
    if are_points {
        let shown = panel.lines.iter().map(|line| Circle::new(scaled(&line.points[0]), 5, line.color.filled()));
        chart.draw_series(shown).map_err(message)?;
        let pixels: Vec<(i32, i32)> = points().map(|at| chart.backend_coord(&at)).collect();
        let (xs, ys) = chart.plotting_area().get_pixel_range();
        return name_points(area, panel, &pixels, [xs.start, ys.start, xs.end, ys.end]);
    }
    for (number, line) in panel.lines.iter().enumerate() {
        let color = line.color;
        // The first lines are the widest, so that they remain visible beneath others.
        let width = 3 + (panel.lines.len() - 1 - number) as u32;
        chart
            .draw_series(LineSeries::new(line.points.iter().map(scaled), color.stroke_width(width)))
            .map_err(message)?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], color.stroke_width(3)));
        chart.draw_series(line.points.iter().map(|at| Circle::new(scaled(at), 4, color.filled()))).map_err(message)?;
    }
    chart
        .configure_series_labels()
        .position(if panel.names_right { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::UpperLeft })
        .background_style(WHITE.mix(0.85))
        .label_font((FONT, 16).into_font().color(&INK))
        .draw()
        .map_err(message)
}

/// Writes the name of each line beside its only point.
fn name_points<DB: DrawingBackend>(
    area: &Area<'_, DB>,
    panel: &Panel,
    points: &[(i32, i32)],
    frame: [i32; 4],
) -> Drawn {
    let style = text(16);
    let size = |line: &Line| {
        let (width, height) = area.estimate_text_size(&line.name, &style).map_err(message)?;
        Ok::<_, String>((width as i32, height as i32))
    };
    let sizes = panel.lines.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let taken = points.iter().map(|&(x, y)| [x - 5, y - 5, x + 5, y + 5]).collect();
    // The area has its own origin; the pixels are relative to the whole picture.
    let (left, top) = area.get_base_pixel();
    for ((line, point), found) in panel.lines.iter().zip(points).zip(place(points, &sizes, taken, frame)) {
        let Some(found @ [x, y, _, bottom]) = found else { continue };
        if let Some(leader) = leader(*point, found) {
            let leader = leader.map(|(x, y)| (x - left, y - top));
            area.draw(&PathElement::new(leader, INK.mix(0.4))).map_err(message)?;
        }
        area.draw_text(&line.name, &style, (x - left, (y + bottom) / 2 - top)).map_err(message)?;
    }
    Ok(())
}

/// Ten to the power of `value` with two digits, such as 3.2 k for 3200.
fn power_of_ten(value: f64) -> String {
    let value = 10f64.powf(value);
    if value < 1e-3 {
        return format!("{value:.0e}");
    }
    let (unit, name) =
        [(1e9, " G"), (1e6, " M"), (1e3, " k")].into_iter().find(|unit| value >= unit.0).unwrap_or((1.0, ""));
    let digits = (1 - (value / unit).log10().floor() as i32).max(0) as usize;
    format!("{}{name}", axis_number(&format!("{:.digits$}", value / unit).parse().unwrap_or(value)))
}
