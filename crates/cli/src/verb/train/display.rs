//! The display of training in progress.

use std::io::IsTerminal;

use convlens_train::Event;
use indicatif::ProgressBar;

use crate::message::message;
use crate::output::thousands;
use crate::progress::bar;

/// Shows training in progress on standard error: one line per epoch, and on a terminal a bar.
#[derive(Default)]
pub struct Display {
    bar: Option<ProgressBar>,
}

impl Display {
    /// Shows an event.
    pub fn show(&mut self, event: Event) {
        match event {
            Event::Resumed { epoch, step } => message(format!("continuing at epoch {epoch}, after step {step}")),
            Event::Truncated { texts, max_tokens } => {
                let have = if texts == 1 { "text has" } else { "texts have" };
                message(format!(
                    "{} training {have} more than {} tokens; training reads only the beginning (see --max-tokens)",
                    thousands(texts),
                    thousands(max_tokens)
                ));
            }
            Event::Vectors { of, done, total, loss } => {
                let new = || bar(total, "{prefix} {wide_bar} {human_pos}/{human_len} texts {msg} {eta}");
                if std::io::stderr().is_terminal() {
                    let bar = self.bar.get_or_insert_with(new);
                    bar.set_prefix(of.name());
                    bar.set_message(format!("loss {loss:.4}"));
                    bar.set_position(done as u64);
                }
                if done == total {
                    self.end();
                    message(format!("learned {}: {} texts read, loss {loss:.4}", of.name(), thousands(total)));
                }
            }
            Event::Step { epoch, step, steps, loss, accuracy } => {
                if !std::io::stderr().is_terminal() {
                    return;
                }
                let new = || bar(steps, "epoch {prefix} {wide_bar} {pos}/{len} {msg} {eta}");
                let bar = self.bar.get_or_insert_with(new);
                bar.set_prefix(epoch.to_string());
                bar.set_message(format!("loss {loss:.4} accuracy {accuracy:.4}"));
                bar.set_position(step as u64);
            }
            Event::Epoch { metrics, is_best } => {
                self.end();
                let (train, validation) = (metrics.train, metrics.validation);
                message(format!(
                    "epoch {}: loss {:.4}, accuracy {:.4}; validation loss {:.4}, accuracy {:.4}{}{} ({:.1} s)",
                    metrics.epoch,
                    train.loss,
                    train.accuracy,
                    validation.loss,
                    validation.accuracy,
                    validation.f1.map(|f1| format!(", F1 {f1:.4}")).unwrap_or_default(),
                    if is_best { ", the best so far" } else { "" },
                    metrics.seconds
                ));
            }
            _ => {}
        }
    }

    /// Removes the bar.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
