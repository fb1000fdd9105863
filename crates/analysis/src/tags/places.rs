//! Where the words that speak for each tag are.

use serde::Serialize;

use crate::ExplainedSentence;

/// Words further away than this are not listed; only models whose field is unbounded or very wide see them.
const FURTHEST: isize = 8;

/// What the words at each place around a word add to the logit of its tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagPlaces {
    /// The tag.
    pub tag: String,
    /// How many words have been given the tag.
    pub words: usize,
    /// The places from left to right, at most eight to each side.
    pub places: Vec<PlaceShare>,
}

/// What the words at one place add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PlaceShare {
    /// The place: 0 is the word itself, -1 the word before it.
    pub place: isize,
    /// How many words have a word at this place.
    pub words: usize,
    /// The mean of what it adds.
    pub mean: f64,
    /// The mean of the absolute value of what it adds.
    pub mean_absolute: f64,
}

/// What the words at each place add to the logits of the tags that the model gives, in the order of `labels`. A tag
/// that it does not give has no places.
pub fn tag_places(sentences: &[&ExplainedSentence], labels: &[String]) -> Vec<TagPlaces> {
    let mut sums = vec![vec![PlaceShare::default(); 2 * FURTHEST as usize + 1]; labels.len()];
    let mut words = vec![0; labels.len()];
    for (tag, field) in sentences.iter().flat_map(|sentence| sentence.shares()) {
        words[tag] += 1;
        for (place, _, share) in field.filter(|(place, _, _)| place.abs() <= FURTHEST) {
            let sum = &mut sums[tag][(place + FURTHEST) as usize];
            sum.place = place;
            sum.words += 1;
            sum.mean += share;
            sum.mean_absolute += share.abs();
        }
    }
    let mean = |sum: PlaceShare| {
        let count = sum.words as f64;
        PlaceShare { mean: sum.mean / count, mean_absolute: sum.mean_absolute / count, ..sum }
    };
    let of_tag = |((tag, sums), &words): ((&String, Vec<PlaceShare>), &usize)| TagPlaces {
        tag: tag.clone(),
        words,
        places: sums.into_iter().filter(|sum| sum.words > 0).map(mean).collect(),
    };
    labels.iter().zip(sums).zip(&words).map(of_tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::sentences::tests::explained;

    #[test]
    fn shares_are_averaged_by_tag_and_place() {
        let evidence: [(usize, &[f64]); 3] = [(0, &[1.0, 2.0]), (0, &[3.0, 4.0, -5.0]), (1, &[6.0, 7.0])];
        let sentence = explained(&["a", "b", "c"], &[0, 1, 0], &evidence);
        let labels = ["X", "Y", "Z"].map(String::from);
        let places = tag_places(&[&sentence, &sentence], &labels);
        let place = |place, words, mean: f64| PlaceShare { place, words, mean, mean_absolute: mean.abs() };
        assert_eq!((places[0].words, places[0].tag.as_str()), (4, "X"));
        assert_eq!(places[0].places, [place(-1, 2, 6.0), place(0, 4, 4.0), place(1, 2, 2.0)]);
        assert_eq!(places[1].places, [place(-1, 2, 3.0), place(0, 2, 4.0), place(1, 2, -5.0)]);
        assert_eq!((places[2].words, places[2].places.len()), (0, 0));
    }

    #[test]
    fn words_that_are_far_away_are_left_out() {
        let words = vec!["a"; 40];
        let shares = vec![1.0; 40];
        let evidence: Vec<(usize, &[f64])> = (0..40).map(|_| (0, shares.as_slice())).collect();
        let sentence = explained(&words, &[0; 40], &evidence);
        let places = tag_places(&[&sentence], &["X".into()]);
        let found: Vec<isize> = places[0].places.iter().map(|place| place.place).collect();
        assert_eq!(found, (-FURTHEST..=FURTHEST).collect::<Vec<_>>());
    }
}
