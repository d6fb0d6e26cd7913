//! A helper thread, and the desk at which it is handed work.
#![allow(
    unsafe_code,
    reason = "lends a closure on the caller's stack to a thread that outlives it"
)]

use std::cell::UnsafeCell;
use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Work that several threads can do at once.
pub(super) type Work<'a> = dyn Fn() + Sync + 'a;

/// Nothing is on the desk.
const FREE: u32 = 0;
/// Work is on the desk; the caller may still take it back.
const POSTED: u32 = 1;
/// The helper has taken it.
const TAKEN: u32 = 2;
/// The helper has done it.
const DONE: u32 = 3;
/// The helper panicked over it.
const FAILED: u32 = 4;

/// How long a helper looks for work before it sleeps: longer than what lies between two evaluations
/// of a training loop, and short enough not to burden a machine that has other things to do.
const PATIENCE: Duration = Duration::from_micros(300);
/// Looks between two glances at the clock.
const LOOKS: usize = 64;
/// Looks at a helper that is not ready before the caller lets other threads run.
const LOOKS_OF_CALLER: usize = 1 << 14;

/// Where one caller and one helper meet.
///
/// The state passes between two caches, which takes longer than all the rest; so posting is a
/// plain store, and sleep has a flag of its own, alone on its cache lines, that hardly ever
/// changes. A caller that misses the flag finds its work untouched and takes it back.
#[repr(align(128))]
pub(super) struct Desk {
    state: AtomicU32,
    work: UnsafeCell<Option<*const Work<'static>>>,
    sleep: Sleep,
}

#[repr(align(128))]
struct Sleep {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

// SAFETY: `work` is written by the caller while the state is neither POSTED nor TAKEN, and read by
// the helper after it has made POSTED into TAKEN; what it leads to may be shared, and lives until the
// caller has settled (`post`).
unsafe impl Sync for Desk {}

impl Desk {
    /// A desk with a helper that lives as long as the process; `None` if the system has no more
    /// threads.
    pub(super) fn staffed() -> Option<&'static Self> {
        let desk: &'static Self = Box::leak(Box::new(Self {
            state: AtomicU32::new(FREE),
            work: UnsafeCell::new(None),
            sleep: Sleep {
                asleep: AtomicBool::new(false),
                thread: OnceLock::new(),
            },
        }));
        let builder = thread::Builder::new().name("optim helper".into());
        let helper = builder.spawn(|| desk.serve()).ok()?;
        desk.sleep.thread.get_or_init(|| helper.thread().clone());
        Some(desk)
    }

    /// Puts work on the desk, for the helper to do once.
    ///
    /// # Safety
    /// One caller at a time uses the desk, and calls [`Self::settle`] before it posts again and
    /// before `work` ends its life.
    pub(super) unsafe fn post(&self, work: &Work<'_>) {
        let work: *const Work<'_> = work;
        // SAFETY: of the type only the lifetime changes, which the caller looks after; and nothing
        // is posted or taken, so the helper does not look.
        unsafe {
            let work = std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work);
            *self.work.get() = Some(work);
        }
        self.state.store(POSTED, Ordering::Release);
        self.wake();
    }

    /// Takes the work back if the helper has not begun, or waits until it has done it.
    ///
    /// # Errors
    /// If the helper panicked.
    pub(super) fn settle(&self) -> Result<(), Panicked> {
        let mut looks = 0_usize;
        loop {
            match self.state.load(Ordering::Acquire) {
                POSTED if self.pass(POSTED, FREE) => {
                    self.wake();
                    return Ok(());
                }
                POSTED | TAKEN => {
                    looks += 1;
                    if looks.is_multiple_of(LOOKS_OF_CALLER) {
                        thread::yield_now();
                    }
                    hint::spin_loop();
                }
                FAILED => return Err(Panicked),
                _ => return Ok(()),
            }
        }
    }

    /// Changes the state, unless the other side has been faster.
    fn pass(&self, from: u32, to: u32) -> bool {
        let (order, otherwise) = (Ordering::AcqRel, Ordering::Relaxed);
        self.state
            .compare_exchange(from, to, order, otherwise)
            .is_ok()
    }

    fn wake(&self) {
        if self.sleep.asleep.load(Ordering::Acquire)
            && let Some(thread) = self.sleep.thread.get()
        {
            self.sleep.asleep.store(false, Ordering::Release);
            thread.unpark();
        }
    }

    /// The life of a helper.
    fn serve(&self) {
        loop {
            self.wait();
            if !self.pass(POSTED, TAKEN) {
                continue;
            }
            // SAFETY: the work is taken, so the caller keeps it alive until the state changes.
            let work = unsafe { (*self.work.get()).map(|work| &*work) };
            let result = catch_unwind(AssertUnwindSafe(|| work.map(|work| work())));
            let state = if result.is_ok() { DONE } else { FAILED };
            self.state.store(state, Ordering::Release);
        }
    }

    /// Looks for work, and sleeps where there has been none for a while.
    fn wait(&self) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            for _ in 0..LOOKS {
                if self.state.load(Ordering::Relaxed) == POSTED {
                    return;
                }
                hint::spin_loop();
            }
        }
        self.sleep.asleep.store(true, Ordering::Release);
        while self.sleep.asleep.load(Ordering::Acquire) {
            thread::park();
        }
    }
}

/// A helper panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;
