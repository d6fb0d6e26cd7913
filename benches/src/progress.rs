//! Progress on standard error: a bar, or a line now and then where that is no terminal.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows what runs. It draws between measurements only, and has no thread of its own.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// The second in which the next line is due, where there is no terminal to draw a bar on.
    next_line: Option<AtomicU64>,
}

/// Seconds from one line to the next at least, so that logs stay short.
const BETWEEN_LINES: u64 = 10;

impl Progress {
    /// A bar of `steps` steps.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {msg}");
        // The template is fixed; a wrong one would leave the default style.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let next_line = bar.is_hidden().then(AtomicU64::default);
        Self { bar, next_line }
    }

    /// A bar that shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            next_line: None,
        }
    }

    /// Says what runs now.
    pub fn say(&self, what: &impl ToString) {
        self.bar.set_message(what.to_string());
        self.bar.tick();
        let Some(next_line) = &self.next_line else {
            return;
        };
        let seconds = self.bar.elapsed().as_secs();
        if seconds >= next_line.load(Ordering::Relaxed) {
            next_line.store(seconds + BETWEEN_LINES, Ordering::Relaxed);
            let (at, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            eprintln!("{seconds:>4} s  {at:>4}/{all}  {}", self.bar.message());
        }
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
