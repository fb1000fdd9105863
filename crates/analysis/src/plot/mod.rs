//! Pictures, drawn by plotters as SVG and as PNG with an embedded font.

mod bars;
mod charts;
mod grid;
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
pub(crate) use grid::{Cell, Grid};
pub(crate) use histograms::Histograms;
pub(crate) use lines::{Line, LineCharts, Panel};
pub(crate) use scatter::{Dot, Scatter};

/// For the explained logit. This and the following colours are from the palette of Okabe and Ito, which
/// people with any colour vision can distinguish.
pub(crate) const FOR: RGBColor = RGBColor(0, 114, 178);
/// Against the explained logit.
pub(crate) const AGAINST: RGBColor = RGBColor(213, 94, 0);
/// Neither.
pub(crate) const NEITHER: RGBColor = RGBColor(150, 150, 150);
/// For classes, methods and so on.
pub(crate) const CATEGORIES: [RGBColor; 6] =
    [FOR, AGAINST, RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(230, 159, 0), RGBColor(86, 180, 233)];
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// A picture in both formats.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file name without extension.
    pub name: String,
    /// A sentence that says what it shows.
    pub caption: String,
    /// The picture as SVG.
    pub svg: String,
    /// The picture as PNG.
    pub png: Vec<u8>,
}

type Area<'a, DB> = DrawingArea<DB, Shift>;
/// The types of plotters' errors contain the backend, so they are reduced to their messages.
type Drawn = Result<(), String>;

/// A drawing for any backend.
pub(crate) trait Draw {
    /// The width and height in pixels.
    fn size(&self) -> (u32, u32);
    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn;
}

impl Picture {
    pub(crate) fn draw(name: &str, caption: String, drawing: &impl Draw) -> Result<Self, AnalysisError> {
        register_fonts();
        let error = |message: String| AnalysisError::Plot { plot: name.into(), message };
        let (width, height) = drawing.size();
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|source| error(source.to_string()))?;
            drawing.draw(&area).map_err(error)?;
            area.present().map_err(|source| error(source.to_string()))?;
        }
        let mut pixels = vec![0; (width * height * 3) as usize];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|source| error(source.to_string()))?;
            drawing.draw(&area).map_err(error)?;
            area.present().map_err(|source| error(source.to_string()))?;
        }
        let png = encode_png(&pixels, width, height).map_err(|source| error(source.to_string()))?;
        // XML allows no control characters, and words can contain them.
        let svg = without_control_characters(&svg);
        Ok(Self { name: name.into(), caption, svg, png })
    }
}

fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If a font is invalid, drawing text fails.
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

/// Dark text of a size in pixels, positioned by the middle of its left edge.
fn text(size: u32) -> TextStyle<'static> {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    (FONT, size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center))
}

/// A word, cut to a number of characters.
fn shortened(word: &str, characters: usize) -> String {
    match word.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.into(),
    }
}

/// A number for an axis, without trailing zeros.
fn axis_number(value: &f64) -> String {
    let rounded = format!("{value:.4}");
    match rounded.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".into(),
        number => number.into(),
    }
}

fn message<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// The range of some numbers, extended a little to both sides.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
    let room = if high > low { 0.04 * (high - low) } else { 1.0 };
    low - room..high + room
}

/// Replaces the control characters that neither XML nor HTML allows by U+FFFD.
pub(crate) fn without_control_characters(text: &str) -> String {
    let is_allowed = |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_allowed(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_make_a_picture_invalid() {
        let word: String = (0..0xa0u8).map(char::from).chain(['\u{fffe}']).collect();
        let words = [crate::PlaceWords {
            output: word.clone(),
            place: None,
            raise: vec![crate::WordScore { word: word[..12].into(), score: 1.0 }],
            lower: vec![crate::WordScore { word: "<b>&\u{1b}\0".into(), score: -1.0 }],
        }];
        let words: Vec<&crate::PlaceWords> = words.iter().collect();
        let picture = Picture::draw("words", String::new(), &WordBars(&words)).expect("draws");
        assert!(!picture.svg.chars().any(|c| c.is_control() && !"\t\n\r".contains(c)), "{}", picture.svg);
        assert!(picture.svg.contains("&lt;b&gt;&amp;\u{fffd}\u{fffd}"), "{}", picture.svg);
    }

    #[test]
    fn axis_numbers_have_no_trailing_zeros() {
        let cases = [(0.25, "0.25"), (-0.00001, "0"), (3.0, "3"), (-0.1, "-0.1"), (100.0, "100")];
        assert!(cases.iter().all(|(value, text)| axis_number(value) == *text));
    }
}
