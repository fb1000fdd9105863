//! A scatter of words and filters in the plane of two principal components.

use plotters::prelude::*;

use super::labels::place;
use super::{Area, Draw, Drawn, FONT, GRID, INK, axis_number, range, said, text};

/// A point of a [`Scatter`].
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub at: (f64, f64),
    pub color: RGBColor,
}

/// Words as dots, filters as triangles, the labels of some words.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    pub title: String,
    pub axes: [String; 2],
    pub words: Vec<Dot>,
    pub filters: Vec<Dot>,
    /// Texts and their points, the most important first.
    pub labels: Vec<(String, (f64, f64))>,
    /// Colours and what they stand for.
    pub legend: Vec<(RGBColor, String)>,
}

const LABEL: u32 = 17;

impl Draw for Scatter {
    fn size(&self) -> (u32, u32) {
        (1200, 900)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        let all = || self.words.iter().chain(&self.filters);
        let (xs, ys) = (range(all().map(|dot| dot.at.0)), range(all().map(|dot| dot.at.1)));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 26).into_font().color(&INK))
            .margin(16)
            .x_label_area_size(52)
            .y_label_area_size(76)
            .build_cartesian_2d(xs, ys)
            .map_err(said)?;
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
            .map_err(said)?;
        let dot = |dot: &Dot| Circle::new(dot.at, 2, dot.color.mix(0.45).filled());
        chart.draw_series(self.words.iter().map(dot)).map_err(said)?;
        let edge = |dot: &Dot| TriangleMarker::new(dot.at, 9, INK.filled());
        let triangle = |dot: &Dot| TriangleMarker::new(dot.at, 6, dot.color.filled());
        chart.draw_series(self.filters.iter().map(edge)).map_err(said)?;
        chart.draw_series(self.filters.iter().map(triangle)).map_err(said)?;

        let plane = chart.plotting_area();
        let pixel = |at: &(f64, f64)| plane.map_coordinate(at);
        let (xs, ys) = plane.get_pixel_range();
        self.draw_labels(area, &pixel, [xs.start + 2, ys.start + 2, xs.end - 2, ys.end - 2])
    }
}

impl Scatter {
    fn draw_labels<DB: DrawingBackend>(
        &self,
        area: &Area<'_, DB>,
        pixel: &dyn Fn(&(f64, f64)) -> (i32, i32),
        frame: [i32; 4],
    ) -> Drawn {
        let style = text(LABEL);
        // The legend stands in the upper left corner.
        let legend = self.legend.iter().map(|(_, name)| name.as_str());
        let size = |text: &str| -> Result<(i32, i32), String> {
            let (width, height) = area.estimate_text_size(text, &style).map_err(said)?;
            Ok((width as i32 + 2, height as i32 + 4))
        };
        let widest = legend.map(size).collect::<Result<Vec<_>, _>>()?.iter().map(|size| size.0).max().unwrap_or(0);
        let line = LABEL as i32 + 6;
        let corner = [frame[0], frame[1], frame[0] + widest + 40, frame[1] + line * self.legend.len() as i32 + 8];

        let points: Vec<(i32, i32)> = self.labels.iter().map(|(_, at)| pixel(at)).collect();
        let sizes = self.labels.iter().map(|(word, _)| size(word)).collect::<Result<Vec<_>, _>>()?;
        let triangles = self.filters.iter().map(|filter| {
            let (x, y) = pixel(&filter.at);
            [x - 8, y - 8, x + 8, y + 8]
        });
        let places = place(&points, &sizes, triangles.chain([corner]).collect(), frame);
        for ((word, _), (point, place)) in self.labels.iter().zip(points.iter().zip(&places)) {
            let Some([left, top, right, bottom]) = *place else { continue };
            let nearest = (point.0.clamp(left, right), point.1.clamp(top, bottom));
            if (nearest.0 - point.0).abs().max((nearest.1 - point.1).abs()) > 10 {
                area.draw(&PathElement::new(vec![*point, nearest], INK.mix(0.4))).map_err(said)?;
            }
            area.draw(&Rectangle::new([(left, top), (right, bottom)], WHITE.mix(0.75).filled())).map_err(said)?;
            area.draw(&Text::new(word.clone(), (left + 1, (top + bottom) / 2), style.clone())).map_err(said)?;
        }
        self.draw_legend(area, corner, line)
    }

    fn draw_legend<DB: DrawingBackend>(&self, area: &Area<'_, DB>, corner: [i32; 4], line: i32) -> Drawn {
        let ground = Rectangle::new([(corner[0], corner[1]), (corner[2], corner[3])], WHITE.mix(0.85).filled());
        area.draw(&ground).map_err(said)?;
        for (number, (color, name)) in self.legend.iter().enumerate() {
            let y = corner[1] + 4 + line * number as i32 + line / 2;
            match name.contains("filter") {
                true => {
                    area.draw(&TriangleMarker::new((corner[0] + 14, y), 9, INK.filled())).map_err(said)?;
                    area.draw(&TriangleMarker::new((corner[0] + 14, y), 6, color.filled())).map_err(said)?;
                }
                false => area.draw(&Circle::new((corner[0] + 14, y), 5, color.filled())).map_err(said)?,
            }
            area.draw(&Text::new(name.clone(), (corner[0] + 30, y), text(LABEL))).map_err(said)?;
        }
        Ok(())
    }
}
