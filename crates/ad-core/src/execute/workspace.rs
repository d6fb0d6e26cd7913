//! Memory for runs: aligned to cache lines, grown once, reused.

use std::sync::{Mutex, PoisonError};

/// A cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// Numbers in memory aligned to cache lines. It only ever grows.
pub(crate) struct Memory<T> {
    lines: Vec<Line>,
    marker: std::marker::PhantomData<T>,
}

impl<T> std::fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} bytes)", self.lines.len() * size_of::<Line>())
    }
}

impl<T: Copy> Memory<T> {
    pub(crate) fn new(len: usize) -> Self {
        let mut memory = Self {
            lines: Vec::new(),
            marker: std::marker::PhantomData,
        };
        memory.reserve(len);
        memory
    }

    /// Makes room for at least `len` numbers.
    pub(crate) fn reserve(&mut self, len: usize) {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.lines.as_mut_ptr().cast()
    }

    /// The first `len` numbers.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn slice(&self, len: usize) -> &[T] {
        assert!(len * size_of::<T>() <= self.lines.len() * size_of::<Line>());
        // SAFETY: the lines are initialised, aligned to more than T, long enough, and any bits are
        // a number.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }

    /// The first `len` numbers, to be written.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn slice_mut(&mut self, len: usize) -> &mut [T] {
        assert!(len * size_of::<T>() <= self.lines.len() * size_of::<Line>());
        // SAFETY: as in `slice`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

/// Workspaces of one plan that are not in use, so that calls from several threads each have one and
/// no call allocates after the first.
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<Memory<T>>>,
}

impl<T> std::fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

impl<T: Copy> Pool<T> {
    pub(crate) fn new() -> Self {
        Self {
            idle: Mutex::new(Vec::with_capacity(8)),
        }
    }

    /// Runs `f` with a workspace that nobody else uses meanwhile.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Memory<T>) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut memory = taken.unwrap_or_else(|| Memory::new(0));
        let result = f(&mut memory);
        idle().push(memory);
        result
    }
}
