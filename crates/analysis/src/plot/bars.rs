//! Bar charts of what words add to a score.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{AGAINST, Area, Draw, Drawn, FONT, FOR, INK, message, shortened, text};
use crate::PlaceWords;
use crate::words::vocabulary::WordScore;

/// One column per place of the phrase, each with its own scale: the words that raise the score, and below
/// them those that lower it.
pub(crate) struct WordBars<'a>(pub &'a [&'a PlaceWords]);

const COLUMN: i32 = 330;
const ROW: i32 = 26;
const TOP: i32 = 70;
const WORD: i32 = 130;

impl Draw for WordBars<'_> {
    fn size(&self) -> (u32, u32) {
        let rows = self.0.iter().map(|place| place.raise.len() + place.lower.len()).max().unwrap_or(0) as i32;
        ((COLUMN * self.0.len().max(1) as i32 + 20) as u32, (TOP + ROW * (rows + 1) + 12) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<'_, DB>) -> Drawn {
        self.0.iter().enumerate().try_for_each(|(number, place)| {
            let all = place.raise.iter().chain(&place.lower);
            let strongest = all.map(|word| word.score.abs()).fold(1e-12, f64::max);
            let left = 20 + COLUMN * number as i32;
            let title = match place.place {
                None => "all places together".into(),
                Some(0) => "at the centre".into(),
                Some(place @ ..0) => format!("{} before the centre", -place),
                Some(place) => format!("{place} after the centre"),
            };
            let style = (FONT, 20).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(title, (left, 24), style)).map_err(message)?;
            area.draw(&Text::new(format!("adds to {:?}", place.output), (left, 50), text(16))).map_err(message)?;
            let lower = place.lower.iter().rev();
            let words = place.raise.iter().map(Some).chain([None]).chain(lower.map(Some));
            for (row, word) in words.enumerate() {
                if let Some(word) = word {
                    let y = TOP + ROW * row as i32 + ROW / 2;
                    bar(area, word, (left, y), word.score / strongest)?;
                }
            }
            Ok(())
        })
    }
}

fn bar<DB: DrawingBackend>(area: &Area<'_, DB>, word: &WordScore, (left, y): (i32, i32), share: f64) -> Drawn {
    let start = left + WORD;
    let end = start + ((COLUMN - WORD - 80) as f64 * share.abs()).round() as i32;
    let color = if word.score > 0.0 { FOR } else { AGAINST };
    let right = text(17).pos(Pos::new(HPos::Right, VPos::Center));
    area.draw(&Text::new(shortened(&word.word, 13), (start - 8, y), right)).map_err(message)?;
    area.draw(&Rectangle::new([(start, y - 8), (end.max(start + 1), y + 8)], color.filled())).map_err(message)?;
    area.draw(&Text::new(format!("{:+.2}", word.score), (end + 6, y), text(15))).map_err(message)
}
