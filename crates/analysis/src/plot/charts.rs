//! Line charts of any numbers.

use serde::Deserialize;

use super::{CATEGORIES, Line, LineCharts, Panel};
use crate::{AnalysisError, Picture};

/// A line chart.
#[derive(Clone, Debug, Deserialize)]
pub struct Chart {
    /// The title.
    pub title: String,
    /// The names of the axes, with units.
    pub axes: [String; 2],
    /// Which axes are logarithmic.
    #[serde(default)]
    pub scale: Scale,
    /// The lines by name, each with its points. If every line is a single point, its name is written beside it.
    pub lines: Vec<Named>,
}

/// Which axes of a chart are logarithmic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Neither.
    #[default]
    Linear,
    /// The horizontal one.
    LogX,
    /// The vertical one.
    LogY,
    /// Both.
    LogLog,
}

type Named = (String, Vec<(f64, f64)>);

/// Draws charts side by side, as one picture.
///
/// # Errors
///
/// [`AnalysisError::Plot`].
pub fn draw_charts(name: &str, caption: &str, charts: &[Chart]) -> Result<Picture, AnalysisError> {
    let panel = |chart: &Chart| {
        let lines = chart.lines.iter().zip(CATEGORIES.iter().cycle());
        let line = |((name, points), &color): (&Named, _)| Line { name: name.clone(), color, points: points.clone() };
        Panel {
            title: chart.title.clone(),
            axes: chart.axes.clone(),
            names: Vec::new(),
            lines: lines.map(line).collect(),
            names_right: false,
            scale: chart.scale,
        }
    };
    Picture::draw(name, caption.into(), &LineCharts(charts.iter().map(panel).collect()))
}
