//! Threads that stay awake between parallel calls that follow each other closely.
//!
//! A thread of the pool that finds nothing to do sleeps after a few microseconds, and waking it
//! takes tens of them: longer than a small network's gradient. A resident job keeps it looking for
//! work for a while after the last call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long threads stay awake after the last call: a few serial steps of an optimiser.
const LINGER: Duration = Duration::from_micros(300);

/// Keeps the threads of the pool that calls come from awake.
#[derive(Debug)]
pub(crate) struct Awake(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// When residents leave, in nanoseconds after the start.
    deadline: AtomicU64,
    residents: AtomicUsize,
}

impl Awake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            deadline: AtomicU64::new(0),
            residents: AtomicUsize::new(0),
        }))
    }

    /// To be called before work is spread over the pool, and after it.
    pub(crate) fn keep(&self) {
        let shared = &self.0;
        shared
            .deadline
            .store(shared.now() + LINGER.as_nanos() as u64, Relaxed);
        // The caller's own thread works anyway.
        let own = usize::from(rayon::current_thread_index().is_some());
        let wanted = rayon::current_num_threads() - own;
        while shared.residents.load(Relaxed) < wanted {
            shared.residents.fetch_add(1, Relaxed);
            let shared = Arc::clone(shared);
            rayon::spawn(move || shared.reside());
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Runs the pool's jobs until the deadline has passed.
    fn reside(&self) {
        while self.now() < self.deadline.load(Relaxed) {
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                std::hint::spin_loop();
            }
        }
        self.residents.fetch_sub(1, Relaxed);
    }
}
