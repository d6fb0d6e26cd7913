//! A progress bar on standard error, hidden where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Shows what runs. It draws between measurements only, and has no thread of its own.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar of `steps` steps.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {msg}");
        // The template is fixed; a wrong one would leave the default style.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// A bar that shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
        }
    }

    /// Says what runs now.
    pub fn say(&self, what: &impl ToString) {
        self.bar.set_message(what.to_string());
        self.bar.tick();
    }

    /// Moves on.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
