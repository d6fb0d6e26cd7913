//! A crew of helpers that stay awake between short pieces of work.
#![allow(
    unsafe_code,
    reason = "hands work to desks and settles it before it goes out of scope"
)]

use std::sync::{Mutex, OnceLock, TryLockError};
use std::thread;

use super::desk::{Desk, Work};

/// The helpers that there are. Who holds the lock has them all.
static HELPERS: Mutex<Vec<&'static Desk>> = Mutex::new(Vec::new());

/// Runs `work` on this thread and meanwhile once on each helper that is there in time, so that
/// `threads` of them work at most, and no more than there are processors.
///
/// Where another thread has the crew, `work` runs on this one alone. It has to be done when this
/// thread's run returns: a helper that has not begun by then will not.
///
/// # Panics
/// If a run of `work` does.
pub(super) fn together(threads: usize, work: &Work<'_>) {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let helpers = threads.min(*PROCESSORS.get_or_init(processors)) - 1;
    let mut crew = match HELPERS.try_lock() {
        Ok(crew) => crew,
        // Whatever panicked, its work was settled.
        Err(TryLockError::Poisoned(crew)) => crew.into_inner(),
        Err(TryLockError::WouldBlock) => return work(),
    };
    while crew.len() < helpers {
        match Desk::staffed() {
            Some(desk) => crew.push(desk),
            None => break,
        }
    }
    let desks = &crew[..crew.len().min(helpers)];
    // SAFETY: the lock keeps other callers away; the work is settled when the round ends, also by a
    // panic.
    let round = unsafe { Round::begin(desks, work) };
    work();
    round.end();
}

/// Work on several desks.
struct Round<'a> {
    desks: &'a [&'static Desk],
}

impl<'a> Round<'a> {
    /// Posts the work on each desk.
    ///
    /// # Safety
    /// There is no other round at these desks, and this one is dropped before the work.
    unsafe fn begin(desks: &'a [&'static Desk], work: &Work<'_>) -> Self {
        for desk in desks {
            // SAFETY: by the same contract, and nothing below panics.
            unsafe { desk.post(work) };
        }
        Self { desks }
    }

    fn end(self) {
        let failed = self.desks.iter().any(|desk| desk.settle().is_err());
        assert!(!failed, "a helper panicked");
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        for desk in self.desks {
            let _ = desk.settle();
        }
    }
}
