//! Pictures: each drawn once, by plotters, as SVG and as PNG, with a font brought along.

mod bars;
mod charts;
mod histograms;
mod labels;
mod lines;
mod scatter;

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::AnalysisError;

pub(crate) use bars::WordBars;
pub use charts::{Chart, Scale, draw_charts};
pub(crate) use histograms::Histograms;
pub(crate) use lines::{Line, LineCharts, Panel};
pub(crate) use scatter::{Dot, Scatter};

/// For the explained label, and against it: told apart by people of every colour vision (Okabe
/// and Ito).
pub(crate) const FOR: RGBColor = RGBColor(0, 114, 178);
/// See [`FOR`].
pub(crate) const AGAINST: RGBColor = RGBColor(213, 94, 0);
/// What is neither.
pub(crate) const NEITHER: RGBColor = RGBColor(150, 150, 150);
/// Classes, methods and the like.
pub(crate) const CATEGORIES: [RGBColor; 6] =
    [FOR, AGAINST, RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(230, 159, 0), RGBColor(86, 180, 233)];
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// A picture in both formats.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its file's name, without an extension.
    pub name: String,
    /// What it shows, in a sentence.
    pub caption: String,
    /// As SVG.
    pub svg: String,
    /// As PNG.
    pub png: Vec<u8>,
}

type Area<'a, DB> = DrawingArea<DB, Shift>;
/// Plotters' errors have the backend in their type; what they say is all that is of use.
type Drawn = Result<(), String>;

/// Something that can be drawn on any backend.
pub(crate) trait Draw {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);
    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn;
}

impl Picture {
    pub(crate) fn of(name: &str, caption: String, drawing: &impl Draw) -> Result<Self, AnalysisError> {
        bring_font();
        let wrong = |message: String| AnalysisError::Plot { plot: name.into(), message };
        let (width, height) = drawing.size();
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|error| wrong(error.to_string()))?;
            drawing.draw(&area).map_err(wrong)?;
            area.present().map_err(|error| wrong(error.to_string()))?;
        }
        let mut pixels = vec![0; (width * height * 3) as usize];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|error| wrong(error.to_string()))?;
            drawing.draw(&area).map_err(wrong)?;
            area.present().map_err(|error| wrong(error.to_string()))?;
        }
        let png = encode_png(&pixels, width, height).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { name: name.into(), caption, svg, png })
    }
}

fn bring_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A font that cannot be read is said by plotters where text is drawn.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font(FONT, FontStyle::Bold, dejavu::sans::bold());
    });
}

fn encode_png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

/// Text of a size in pixels, dark, to be placed by its left middle.
fn text(size: u32) -> TextStyle<'static> {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    (FONT, size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center))
}

/// A number for an axis: no more digits than it needs.
fn axis_number(value: &f64) -> String {
    let rounded = format!("{value:.4}");
    match rounded.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".into(),
        number => number.into(),
    }
}

fn said<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// The smallest and largest of some numbers, with some room to both sides.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
    let room = if high > low { 0.04 * (high - low) } else { 1.0 };
    low - room..high + room
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_on_axes_are_short() {
        let cases = [(0.25, "0.25"), (-0.00001, "0"), (3.0, "3"), (-0.1, "-0.1"), (100.0, "100")];
        assert!(cases.iter().all(|(value, text)| super::axis_number(value) == *text));
    }
}
