//! Histograms, side by side.

use plotters::prelude::*;

use super::{Area, Draw, Drawn, FONT, FOR, GRID, INK, axis_number, message};
use crate::Histogram;

/// One panel per histogram.
pub(crate) struct Histograms<'a>(pub &'a [Histogram]);

const PANEL: (u32, u32) = (460, 380);

impl Draw for Histograms<'_> {
    fn size(&self) -> (u32, u32) {
        (PANEL.0 * self.0.len().max(1) as u32, PANEL.1)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        let panels = area.split_evenly((1, self.0.len().max(1)));
        panels.iter().zip(self.0).try_for_each(|(panel, histogram)| draw(panel, histogram))
    }
}

fn draw<DB: DrawingBackend>(area: &Area<'_, DB>, histogram: &Histogram) -> Drawn {
    let (low, high) = if histogram.max > histogram.min {
        (histogram.min, histogram.max)
    } else {
        (histogram.min - 0.5, histogram.min + 0.5)
    };
    let highest = histogram.bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(&histogram.name, (FONT, 22).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(84)
        .build_cartesian_2d(low..high, 0.0..highest * 1.05)
        .map_err(message)?;
    let what = format!("value (mean {:.3}, standard deviation {:.3})", histogram.mean, histogram.std);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(5)
        .x_desc(what)
        .y_desc("count")
        .label_style((FONT, 16).into_font().color(&INK))
        .axis_desc_style((FONT, 17).into_font().color(&INK))
        .x_label_formatter(&axis_number)
        .y_label_formatter(&axis_number)
        .draw()
        .map_err(message)?;
    let width = (high - low) / histogram.bins.len().max(1) as f64;
    let bar = |(index, &count): (usize, &usize)| {
        let left = low + width * index as f64;
        Rectangle::new([(left, 0.0), (left + 0.9 * width, count as f64)], FOR.filled())
    };
    chart.draw_series(histogram.bins.iter().enumerate().map(bar)).map_err(message)?;
    Ok(())
}
