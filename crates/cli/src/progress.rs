//! Progress bars on standard error, if it is a terminal.

use std::sync::{Arc, Mutex};

use convlens_data::{Download, OnDownload};
use convlens_train::Stage;
use indicatif::{ProgressBar, ProgressStyle};

use crate::printable::printable;

/// A bar with `total` steps, drawn only on a terminal.
pub fn bar(total: usize, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total as u64).with_style(style)
}

/// Draws the stages of a long task, one bar per stage.
#[derive(Default)]
pub struct Stages {
    current: Mutex<Option<(&'static str, ProgressBar)>>,
}

impl Stages {
    /// Shows the progress of a stage.
    pub fn show(&self, stage: Stage) {
        let Ok(mut current) = self.current.lock() else { return };
        let is_new = current.as_ref().is_none_or(|(name, bar)| *name != stage.name || bar.is_finished());
        if is_new {
            let bar = bar(stage.total, "{msg:24} {wide_bar} {human_pos}/{human_len} {eta}");
            bar.set_message(stage.name);
            *current = Some((stage.name, bar));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_position(stage.done as u64);
            if stage.done >= stage.total {
                bar.finish_and_clear();
            }
        }
    }
}

/// Draws downloads, one bar per file.
pub fn downloads() -> OnDownload {
    let current: Mutex<Option<(String, ProgressBar)>> = Mutex::new(None);
    Arc::new(move |download: Download| {
        let Ok(mut current) = current.lock() else { return };
        if current.as_ref().is_none_or(|(file, _)| *file != download.file) {
            let bar = bar(0, "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}");
            bar.set_message(printable(&download.file).into_owned());
            *current = Some((download.file.clone(), bar));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_length(download.total);
            bar.set_position(download.done);
            if download.total > 0 && download.done >= download.total {
                bar.finish_and_clear();
            }
        }
    })
}
