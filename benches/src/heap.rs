//! An allocator that counts.
#![allow(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; every call is passed on to the system's allocator unchanged"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The system's allocator, counting what is alive and how often it is called, over all threads.
///
/// Counts are exact where nothing else allocates at the same time. A reallocation counts as one
/// allocation, and its old and new block as never alive together.
#[derive(Debug, Default)]
pub struct CountingAllocator {
    live: AtomicUsize,
    peak: AtomicUsize,
    bytes: AtomicU64,
    allocations: AtomicU64,
}

/// What had been counted at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    live: usize,
    bytes: u64,
    allocations: u64,
}

/// What was counted since a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The most bytes alive at once, above those alive at the mark.
    pub peak_bytes: u64,
    /// All bytes ever asked for.
    pub bytes: u64,
    /// How often memory was asked for.
    pub allocations: u64,
}

impl CountingAllocator {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
        }
    }

    /// Starts a measurement; the peak counts from here, for all marks.
    pub fn mark(&self) -> Mark {
        let live = self.live.load(Ordering::Relaxed);
        self.peak.store(live, Ordering::Relaxed);
        Mark {
            live,
            bytes: self.bytes.load(Ordering::Relaxed),
            allocations: self.allocations(),
        }
    }

    /// What was counted since the mark, which must be the latest one for the peak to be right.
    pub fn since(&self, mark: Mark) -> Usage {
        let peak = self.peak.load(Ordering::Relaxed);
        Usage {
            peak_bytes: peak.saturating_sub(mark.live) as u64,
            bytes: self.bytes.load(Ordering::Relaxed) - mark.bytes,
            allocations: self.allocations() - mark.allocations,
        }
    }

    /// How often memory was asked for so far.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    fn grown(&self, by: usize, size: usize) {
        let live = self.live.fetch_add(by, Ordering::Relaxed) + by;
        self.peak.fetch_max(live, Ordering::Relaxed);
        self.bytes.fetch_add(size as u64, Ordering::Relaxed);
        self.allocations.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: blocks come from and return to the system's allocator with the layouts that callers
// state; counting touches none of them and allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the system allocator's.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            self.grown(layout.size(), layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`. Passed on, since the system knows pages that are zero already.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            self.grown(layout.size(), layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            let shrunk_by = layout.size().saturating_sub(size);
            self.live.fetch_sub(shrunk_by, Ordering::Relaxed);
            self.grown(size.saturating_sub(layout.size()), size);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_bytes_their_peak_and_calls_are_counted() {
        let heap = CountingAllocator::new();
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: every block is used with the layout it was made with, and freed once.
        unsafe {
            let before = heap.alloc(layout(1000));
            let mark = heap.mark();
            let block = heap.alloc(layout(100));
            let block = heap.realloc(block, layout(100), 300);
            let block = heap.realloc(block, layout(300), 50);
            let zeroed = heap.alloc_zeroed(layout(60));
            assert_eq!(std::slice::from_raw_parts(zeroed, 60), [0; 60]);
            heap.dealloc(block, layout(50));
            heap.dealloc(zeroed, layout(60));
            let expected = Usage {
                peak_bytes: 300,
                bytes: 100 + 300 + 50 + 60,
                allocations: 4,
            };
            assert_eq!(heap.since(mark), expected);
            // The peak of a new measurement starts at what is alive.
            let mark = heap.mark();
            assert_eq!(heap.since(mark).peak_bytes, 0);
            heap.dealloc(before, layout(1000));
            assert_eq!(heap.live.load(Ordering::Relaxed), 0);
        }
    }
}
