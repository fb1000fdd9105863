//! Trains a classifier on texts in memory, explains one of its decisions, and saves it as a run folder.

use convlens_learn::fit;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kinds = [("good", "praise"), ("fine", "praise"), ("bad", "blame"), ("dull", "blame")];
    let review = |at: usize| format!("The {} film has a {} plot.", ["old", "new"][at % 2], kinds[at % 4].0);
    let texts: Vec<String> = (0..100).map(review).collect();
    let labels: Vec<&str> = (0..100).map(|at| kinds[at % 4].1).collect();

    let run = fit(&texts, &labels, "default")?;
    let prediction = run.predict("A good film with a fine plot.")?;
    println!("{}, {:.0} %", prediction.label_name(), 100.0 * prediction.probabilities[prediction.label]);
    for phrase in &prediction.phrases {
        println!("{:+.3}  {}", phrase.score[0], prediction.phrase_text(phrase));
    }
    let folder = std::env::temp_dir().join(format!("convlens-{}", std::process::id()));
    run.save(&folder)?;
    println!("saved in {}", folder.display());
    Ok(())
}
