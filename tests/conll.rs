//! CoNLL files of the real world, if `../shared` has them: read, and written again as they were.

use std::path::Path;

use convlens_data::ConllFile;

use crate::common::{shared, skip};

/// Reads a file and writes every column of it again.
fn read(path: &Path) -> ConllFile {
    let file = ConllFile::read(path).unwrap_or_else(|error| panic!("{error}"));
    let original = std::fs::read_to_string(path).expect("is a file");
    for name in 1..=10 {
        let Ok(column) = file.column(Some(&name.to_string())) else { continue };
        let values: Vec<&str> = (0..file.len()).map(|word| file.value(word, column)).collect();
        assert!(file.with_column(column, &values) == original, "{}: column {name}", path.display());
    }
    file
}

#[test]
fn treebanks_and_named_entities_are_written_as_they_were() {
    let (Some(treebank), Some(entities)) = (shared("datasets/ud_english_ewt"), shared("datasets/wnut17")) else {
        return skip("conll", "../shared/datasets has no treebank; put UD English EWT and WNUT-17 there");
    };
    let dev = read(&treebank.join("en_ewt-ud-dev.conllu"));
    // grep -c '^# sent_id' and grep -Pc '^[0-9]+\t'
    assert_eq!((dev.sentences().len(), dev.len()), (2_001, 25_147));
    let upos = dev.column(None).expect("the default");
    assert_eq!((dev.form(0), dev.value(0, upos)), ("From", "ADP"));

    for entry in std::fs::read_dir(entities).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_file() {
            let file = read(&entry);
            let tags = file.column(None).expect("the default");
            assert!((0..file.len()).all(|word| {
                let tag = file.value(word, tags);
                tag == "O" || tag.starts_with("B-") || tag.starts_with("I-")
            }));
        }
    }
}
