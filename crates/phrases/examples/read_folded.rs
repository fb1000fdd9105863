//! Classifies texts with a folded run, and prints the strongest phrases of each:
//!
//! `cargo run --release --package convlens-phrases --example read_folded -- FOLDER TEXT…`

use convlens_phrases::{FoldedRun, Phrase, PhrasesError};

/// How many phrases are printed for a text.
const STRONGEST: usize = 5;

fn main() -> Result<(), PhrasesError> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("name the folder of a folded run, and texts");
        std::process::exit(2);
    };
    let run = FoldedRun::open(folder)?;
    for text in arguments {
        let prediction = run.predict(&text)?;
        println!("{} {:.4}", prediction.label_name(), prediction.probabilities[prediction.label]);
        // With two labels there is one logit, which is positive for the second.
        let output = if prediction.outputs.len() == 1 { 0 } else { prediction.label };
        let mut phrases: Vec<&Phrase> = prediction.phrases.iter().collect();
        phrases.sort_by(|one, other| other.score[output].abs().total_cmp(&one.score[output].abs()));
        for phrase in phrases.into_iter().take(STRONGEST) {
            println!("{:+.4} {}", phrase.score[output], prediction.phrase_text(phrase));
        }
    }
    Ok(())
}
