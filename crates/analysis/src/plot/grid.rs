//! Tables whose cells are coloured by their values.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{AGAINST, Area, Draw, Drawn, FOR, GRID, message, shortened, text};

/// A table whose cells are coloured by their values.
pub(crate) struct Grid {
    /// What the columns and the rows are.
    pub axes: [String; 2],
    pub columns: Vec<String>,
    /// The name of each row, and its cells; none where there is no value.
    pub rows: Vec<(String, Vec<Option<Cell>>)>,
}

/// A cell of a [`Grid`].
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub text: String,
    /// How strongly the cell is coloured: 1 is fully blue and -1 fully orange.
    pub strength: f64,
}

const COLUMN: i32 = 64;
const ROW: i32 = 28;
const LEFT: i32 = 150;
const TOP: i32 = 74;
const MARGIN: i32 = 14;
/// Full colour is a little transparent, so that dark text remains legible on it.
const OPACITY: f64 = 0.75;

impl Draw for Grid {
    fn size(&self) -> (u32, u32) {
        let (columns, rows) = (self.columns.len().max(1) as i32, self.rows.len().max(1) as i32);
        ((LEFT + COLUMN * columns + MARGIN) as u32, (TOP + ROW * rows + MARGIN) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        let center = |size: u32| text(size).pos(Pos::new(HPos::Center, VPos::Center));
        let right = text(16).pos(Pos::new(HPos::Right, VPos::Center));
        let write = |words: String, at: (i32, i32), style: TextStyle<'static>| {
            area.draw(&Text::new(words, at, style)).map_err(message)
        };
        write(self.axes[0].clone(), (LEFT, 22), text(18))?;
        write(self.axes[1].clone(), (MARGIN, TOP - 22), text(18))?;
        let middle = |column: usize| LEFT + COLUMN * column as i32 + COLUMN / 2;
        for (column, name) in self.columns.iter().enumerate() {
            write(shortened(name, 7), (middle(column), TOP - 22), center(15))?;
        }
        for (row, (name, cells)) in self.rows.iter().enumerate() {
            let top = TOP + ROW * row as i32;
            write(shortened(name, 13), (LEFT - 10, top + ROW / 2), right.clone())?;
            for (column, cell) in cells.iter().enumerate() {
                let left = LEFT + COLUMN * column as i32;
                let frame = [(left, top), (left + COLUMN, top + ROW)];
                if let Some(Cell { text, strength }) = cell {
                    let color = if *strength > 0.0 { FOR } else { AGAINST };
                    let filled = color.mix(OPACITY * strength.abs().min(1.0)).filled();
                    area.draw(&Rectangle::new(frame, filled)).map_err(message)?;
                    write(text.clone(), (middle(column), top + ROW / 2), center(14))?;
                }
                area.draw(&Rectangle::new(frame, GRID)).map_err(message)?;
            }
        }
        Ok(())
    }
}
