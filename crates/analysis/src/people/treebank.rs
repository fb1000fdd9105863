//! Reads the Stanford Sentiment Treebank: trees in the format of the Penn Treebank, with a label in front
//! of every phrase. (Parsers of S-expressions fail on tokens such as `'s` or `#`.)

use std::path::{Path, PathBuf};

use crate::AnalysisError;

/// A phrase with a human label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedPhrase {
    /// The words, separated by spaces.
    pub text: String,
    /// The number of words.
    pub words: usize,
    /// The label, from 0 (very negative) to 4 (very positive).
    pub label: u8,
}

/// The number of labels.
const LABELS: u8 = 5;

/// Reads all phrases of the trees in the `.txt` files of a folder, without duplicates.
///
/// # Errors
///
/// [`AnalysisError::Treebank`], which names the file and the line.
pub fn read_treebank(folder: &Path) -> Result<Vec<JudgedPhrase>, AnalysisError> {
    let error = |path: &Path, message: String| AnalysisError::Treebank { path: path.into(), message };
    let entries = std::fs::read_dir(folder).map_err(|source| error(folder, source.to_string()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    if files.is_empty() {
        return Err(error(
            folder,
            "contains no .txt file; the folder of the treebank contains train.txt, dev.txt and test.txt".into(),
        ));
    }
    let mut phrases = Vec::new();
    for path in files {
        let trees = std::fs::read_to_string(&path).map_err(|source| error(&path, source.to_string()))?;
        for (number, line) in trees.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let of_line = parse(line).ok_or_else(|| {
                error(
                    &path,
                    format!("line {} is not a tree with labels from 0 to 4, such as (3 (2 a) (4 joy))", number + 1),
                )
            })?;
            phrases.extend(of_line);
        }
    }
    let mut known = std::collections::HashSet::new();
    phrases.retain(|phrase: &JudgedPhrase| known.insert(phrase.text.clone()));
    Ok(phrases)
}

/// The phrases of one tree, innermost first; `None` if it is not a tree.
fn parse(line: &str) -> Option<Vec<JudgedPhrase>> {
    let (mut words, mut open, mut phrases) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('(') {
            let (label, after) = after.trim_start().split_once(char::is_whitespace)?;
            let label = label.parse().ok().filter(|label| *label < LABELS)?;
            open.push((label, words.len()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix(')') {
            let (label, first) = open.pop()?;
            let of_phrase: &[String] = words.get(first..).filter(|words| !words.is_empty())?;
            phrases.push(JudgedPhrase { text: of_phrase.join(" "), words: of_phrase.len(), label });
            rest = after;
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')')?;
            words.push(unescape(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        if open.is_empty() && !rest.is_empty() {
            return None;
        }
    }
    (open.is_empty() && !phrases.is_empty()).then_some(phrases)
}

/// Replaces the escapes of the Penn Treebank for brackets and slashes.
fn unescape(word: &str) -> String {
    match word {
        "-LRB-" => "(".into(),
        "-RRB-" => ")".into(),
        word => word.replace("\\/", "/").replace("\\*", "*"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_of_a_tree_is_read() {
        let phrases = parse("(1 (2 It) (1 (1 (2 's) (1 not)) (4 (2 -LRB-) (4 great))))").expect("a tree");
        let texts: Vec<(&str, usize, u8)> = phrases.iter().map(|p| (p.text.as_str(), p.words, p.label)).collect();
        let expected = [
            ("It", 1, 2),
            ("'s", 1, 2),
            ("not", 1, 1),
            ("'s not", 2, 1),
            ("(", 1, 2),
            ("great", 1, 4),
            ("( great", 2, 4),
            ("'s not ( great", 4, 1),
            ("It 's not ( great", 5, 1),
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn malformed_trees_are_refused() {
        for line in ["(5 a)", "(2 a", "(2 a))", "a b", "(2 )", "(x a)", "(2 a) (2 b)", ")"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
