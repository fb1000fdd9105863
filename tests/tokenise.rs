//! Compares our word-level tokenizer with the `tokenizers` library on every text of IMDB. Skipped if
//! `../shared` does not have it.

use convlens_text::{Tokenizer, TokenizerKind, train};
use polars::prelude::{ParquetReader, SerReader};

use crate::common::{shared, skip};

#[test]
fn ids_and_offsets_equal_the_librarys_on_all_texts_of_imdb() {
    let Some(snapshots) = shared("hf-home/hub/datasets--stanfordnlp--imdb/snapshots") else {
        return skip("tokenise", "no Hub cache in ../shared/hf-home");
    };
    let snapshot = std::fs::read_dir(snapshots).expect("lists").flatten().next().expect("has a snapshot").path();
    let texts = |split: &str| -> Vec<String> {
        let path = snapshot.join(format!("plain_text/{split}-00000-of-00001.parquet"));
        // In the Hub's cache this is a link. A copied cache may have a file that holds the link's target.
        let target =
            std::fs::read(&path).ok().filter(|bytes| bytes.len() < 1_000).and_then(|b| String::from_utf8(b).ok());
        let path = target.map_or(path.clone(), |target| path.with_file_name(target.trim()));
        let table = ParquetReader::new(std::fs::File::open(path).expect("opens")).finish().expect("reads");
        let column = table.column("text").expect("has the column").str().expect("holds text");
        column.iter().flatten().map(String::from).collect()
    };
    let train_texts = texts("train");
    let ours = train(TokenizerKind::Words, 20_000, train_texts.iter().map(String::as_str)).expect("trains");
    assert!(ours.is_word_level());
    let json = ours.to_json().expect("is written as JSON");
    let mut theirs: tokenizers::Tokenizer = json.parse().expect("reads");
    theirs.set_encode_special_tokens(true);

    let mut count = 0;
    for texts in [train_texts, texts("test"), texts("unsupervised")] {
        for chunk in texts.chunks(5_000) {
            let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
            let expected = theirs.encode_batch(chunk.clone(), true).expect("encodes");
            let ids = ours.encode_ids(&chunk).expect("encodes");
            for ((text, ids), expected) in chunk.iter().zip(&ids).zip(&expected) {
                assert!(ids == expected.get_ids(), "{text}");
                let offsets = ours.encode(text).expect("encodes").offsets;
                assert!(offsets == expected.get_offsets(), "{text}");
            }
            count += chunk.len();
        }
    }
    assert_eq!(count, 100_000);
    assert!(Tokenizer::from_json(json.as_bytes()).expect("reads").is_word_level());
}
