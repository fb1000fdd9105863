//! Prints where words lie in the plane of the first two principal components of a run's embeddings, and which words
//! are nearest to them: `plane RUN WORD…`.

use convlens_analysis::{FilterVectors, Plane, Vocabulary, contributions, nearest_words};
use convlens_run::Run;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let run = Run::open(arguments.next().ok_or("usage: plane RUN WORD…")?)?;
    let (vectors, words) = (FilterVectors::new(&run)?, Vocabulary::new(&run));
    let to_first: Vec<f64> = contributions(&run, run.word_table()?.as_ref())?.iter().map(|logits| logits[0]).collect();
    let plane = Plane::new(&vectors, &to_first);
    println!("the plane shows {:.0} % of the variance", 100.0 * plane.pca.explained_variance_ratio.iter().sum::<f64>());
    for word in arguments {
        let Some(&id) = words.ids().iter().find(|&&id| words.word(id) == word) else {
            println!("{word}: not in the vocabulary");
            continue;
        };
        let near: Vec<String> = nearest_words(&vectors, &words, id, 5).into_iter().map(|near| near.word).collect();
        println!("{word} at {:.2?}, adds {:+.3}; near {}", plane.words[id], to_first[id], near.join(", "));
    }
    Ok(())
}
