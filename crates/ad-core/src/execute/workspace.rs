//! Memory for runs: aligned to cache lines, grown once, reused. What cannot be allocated is an
//! error of the call that needs it.

use std::alloc::{Layout, alloc_zeroed};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::real::Real;

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
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            marker: std::marker::PhantomData,
        }
    }

    /// Makes room for at least `len` numbers; those that are there are lost if it has to grow.
    #[inline]
    pub(crate) fn reserve(&mut self, len: usize, what: &str) -> Result<(), Error> {
        let lines = len.div_ceil(size_of::<Line>() / size_of::<T>());
        if lines > self.lines.len() {
            self.lines = Vec::new();
            // SAFETY: any bytes are a line.
            let new = unsafe { zeroed(lines) };
            self.lines = new.ok_or_else(|| Error::allocation::<T>(what, len))?;
        }
        Ok(())
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.lines.as_mut_ptr().cast()
    }

    /// The first `len` numbers.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn slice(&self, len: usize) -> &[T] {
        assert!(len <= self.lines.len() * (size_of::<Line>() / size_of::<T>()));
        // SAFETY: the lines are initialised, aligned to more than T, long enough, and any bits are
        // a number.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }

    /// The first `len` numbers, to be written.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn slice_mut(&mut self, len: usize) -> &mut [T] {
        assert!(len <= self.lines.len() * (size_of::<Line>() / size_of::<T>()));
        // SAFETY: as in `slice`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

/// `len` zeros, for what a call returns or works in.
pub(crate) fn zeros<T: Real>(len: usize, what: &str) -> Result<Vec<T>, Error> {
    // SAFETY: `T` is `f32` or `f64`, whose zero has no bit set.
    let zeros = unsafe { zeroed(len) };
    zeros.ok_or_else(|| Error::allocation::<T>(what, len))
}

/// A vector of `len` values without a bit set, or `None` where it cannot be allocated. In one step,
/// as `vec![0; len]` does it, so that fresh pages need not be written.
///
/// # Safety
/// Bytes of zero are a value of `T`.
unsafe fn zeroed<T: Copy>(len: usize) -> Option<Vec<T>> {
    let layout = Layout::array::<T>(len).ok()?;
    if layout.size() == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the size is not zero.
    let start = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if start.is_null() {
        return None;
    }
    // SAFETY: the global allocator has just given room for `len` values, which the caller's contract
    // makes values of `T`.
    Some(unsafe { Vec::from_raw_parts(start, len, len) })
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
        let mut memory = taken.unwrap_or_else(Memory::new);
        let result = f(&mut memory);
        idle().push(memory);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_allocated_is_an_error_and_leaves_memory_usable() {
        let mut memory = Memory::<f64>::new();
        // More than the addresses of a process, and more bytes than there are numbers for.
        for len in [1 << 58, usize::MAX / 2, usize::MAX] {
            let error = memory.reserve(len, "a test").unwrap_err();
            let bytes = 8 * len as u128;
            let what = "a test".to_string();
            assert_eq!(error, Error::Allocation { what, bytes });
            assert_eq!(zeros::<f64>(len, "a test").unwrap_err(), error);
            assert!(memory.slice(0).is_empty());
        }
        memory.reserve(100, "a test").unwrap();
        assert_eq!(memory.slice(100), [0.0; 100]);
        assert_eq!(zeros::<f32>(3, "a test").unwrap(), [0.0; 3]);
        assert!(zeros::<f32>(0, "a test").unwrap().is_empty());
    }
}
