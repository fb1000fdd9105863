//! Opens a run folder and explains texts: `explain RUN TEXT…`.

use convlens_run::Run;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let run = Run::open(arguments.next().ok_or("usage: explain RUN TEXT…")?)?;
    for text in arguments {
        let prediction = run.predict(&text)?;
        let probability = prediction.probabilities[prediction.label];
        println!("{}, {:.1} %: {text}", prediction.label_name(), 100.0 * probability);
        for phrase in &prediction.phrases {
            println!("{:+.3}  {}", phrase.score[0], prediction.phrase_text(phrase));
        }
    }
    Ok(())
}
