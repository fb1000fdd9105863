//! How well a model does on each class.

use serde::Serialize;

/// The metrics of a classifier on one class. A ratio whose denominator is zero is zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// The class.
    pub label: String,
    /// The share of the examples predicted to have this label that have it.
    pub precision: f64,
    /// The share of the examples with this label that were predicted to have it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// How many examples have the label.
    pub support: usize,
}

/// The report of each class, from how many examples of each class (row) were given each class (column).
pub fn class_reports(names: &[String], confusion: &[Vec<usize>]) -> Vec<ClassReport> {
    names.iter().enumerate().map(|(class, name)| class_report(class, name, confusion)).collect()
}

fn class_report(class: usize, name: &str, confusion: &[Vec<usize>]) -> ClassReport {
    let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let hits = confusion[class][class];
    let support: usize = confusion[class].iter().sum();
    let predicted: usize = confusion.iter().map(|row| row[class]).sum();
    ClassReport {
        label: name.into(),
        precision: ratio(hits, predicted),
        recall: ratio(hits, support),
        f1: ratio(2 * hits, predicted + support),
        support,
    }
}
