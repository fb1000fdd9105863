//! A scatter plot of words and filters in the plane of two principal components.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::labels::{leader, place};
use super::{Area, Draw, Drawn, FONT, GRID, INK, axis_number, message, range, text};

/// Coordinates in the plane.
pub(crate) type Point = (f64, f64);

/// A dot of a [`Scatter`].
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub at: Point,
    pub color: RGBColor,
}

/// Words as dots, filters as triangles, and the labels of some words.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    pub title: String,
    pub axes: [String; 2],
    pub words: Vec<Dot>,
    pub filters: Vec<Dot>,
    /// Labels and their points, the most important first.
    pub labels: Vec<(String, Point)>,
    /// Colours and their meanings.
    pub legend: Vec<(RGBColor, String)>,
}

const LABEL: u32 = 17;
/// The height of the title and the legend.
const HEAD: i32 = 82;

impl Draw for Scatter {
    fn size(&self) -> (u32, u32) {
        (1200, 900)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        let all = || self.words.iter().chain(&self.filters);
        let (xs, ys) = (range(all().map(|dot| dot.at.0)), range(all().map(|dot| dot.at.1)));
        let (_, below) = area.split_vertically(HEAD);
        let mut chart = ChartBuilder::on(&below)
            .margin(16)
            .margin_top(4)
            .x_label_area_size(52)
            .y_label_area_size(76)
            .build_cartesian_2d(xs, ys)
            .map_err(message)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_desc(&self.axes[0])
            .y_desc(&self.axes[1])
            .label_style((FONT, 17).into_font().color(&INK))
            .axis_desc_style((FONT, 20).into_font().color(&INK))
            .x_label_formatter(&axis_number)
            .y_label_formatter(&axis_number)
            .draw()
            .map_err(message)?;
        let dot = |dot: &Dot| Circle::new(dot.at, 2, dot.color.mix(0.45).filled());
        chart.draw_series(self.words.iter().map(dot)).map_err(message)?;
        let edge = |dot: &Dot| TriangleMarker::new(dot.at, 9, INK.filled());
        let triangle = |dot: &Dot| TriangleMarker::new(dot.at, 6, dot.color.filled());
        chart.draw_series(self.filters.iter().map(edge)).map_err(message)?;
        chart.draw_series(self.filters.iter().map(triangle)).map_err(message)?;

        let plane = chart.plotting_area();
        let pixel = |at: &Point| plane.map_coordinate(at);
        let (xs, ys) = plane.get_pixel_range();
        self.draw_head(area)?;
        self.draw_labels(area, &pixel, [xs.start + 2, ys.start + 2, xs.end - 2, ys.end - 2])
    }
}

impl Scatter {
    fn draw_labels<DB: DrawingBackend>(
        &self,
        area: &Area<'_, DB>,
        pixel: &dyn Fn(&Point) -> (i32, i32),
        frame: [i32; 4],
    ) -> Drawn {
        let style = text(LABEL);
        let size = |text: &str| -> Result<(i32, i32), String> {
            let (width, height) = area.estimate_text_size(text, &style).map_err(message)?;
            Ok((width as i32 + 2, height as i32 + 4))
        };
        let points: Vec<(i32, i32)> = self.labels.iter().map(|(_, at)| pixel(at)).collect();
        let sizes = self.labels.iter().map(|(word, _)| size(word)).collect::<Result<Vec<_>, _>>()?;
        let triangles = self.filters.iter().map(|filter| {
            let (x, y) = pixel(&filter.at);
            [x - 8, y - 8, x + 8, y + 8]
        });
        let places = place(&points, &sizes, triangles.collect(), frame);
        for ((word, _), (point, place)) in self.labels.iter().zip(points.iter().zip(&places)) {
            let Some(place @ [left, top, right, bottom]) = *place else { continue };
            if let Some(leader) = leader(*point, place) {
                area.draw(&PathElement::new(leader, INK.mix(0.4))).map_err(message)?;
            }
            area.draw(&Rectangle::new([(left, top), (right, bottom)], WHITE.mix(0.75).filled())).map_err(message)?;
            area.draw(&Text::new(word.clone(), (left + 1, (top + bottom) / 2), style.clone())).map_err(message)?;
        }
        Ok(())
    }

    /// Draws the title and, below it, the legend in a row.
    fn draw_head<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        let title = (FONT, 26).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Center));
        area.draw(&Text::new(self.title.clone(), (self.size().0 as i32 / 2, 26), title)).map_err(message)?;
        let style = text(LABEL);
        let widths = self.legend.iter().map(|(_, name)| area.estimate_text_size(name, &style).map_err(message));
        let widths: Vec<i32> = widths.map(|size| size.map(|(width, _)| width as i32 + 52)).collect::<Result<_, _>>()?;
        let mut left = (self.size().0 as i32 - widths.iter().sum::<i32>()).max(0) / 2;
        for ((color, name), width) in self.legend.iter().zip(widths) {
            let mark = (left + 14, 62);
            if name.starts_with("filter") {
                area.draw(&TriangleMarker::new(mark, 9, INK.filled())).map_err(message)?;
                area.draw(&TriangleMarker::new(mark, 6, color.filled())).map_err(message)?;
            } else {
                area.draw(&Circle::new(mark, 5, color.filled())).map_err(message)?;
            }
            area.draw(&Text::new(name.clone(), (left + 28, 62), style.clone())).map_err(message)?;
            left += width;
        }
        Ok(())
    }
}
