//! Liveness and layout: which buffers share memory in one arena.

use std::collections::{BTreeMap, BTreeSet};

use super::Loc;
use crate::graph::NodeId;

/// When a buffer that needs memory of its own is first written and last read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) buffer: NodeId,
    pub(crate) len: usize,
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// The number of a buffer that ends where this one begins and whose memory this one takes over.
    pub(crate) takes_over: Option<u32>,
}

/// Offsets into the arena.
#[derive(Debug)]
pub(crate) struct Layout {
    /// For each interval.
    pub(crate) offsets: Vec<usize>,
    pub(crate) len: usize,
}

/// Cache lines between buffers that follow each other, beyond their own length. Without them
/// buffers of a power of two would lie at the same place of their pages, and processors take a load
/// for one of a recent store at the same place of another page (measured: seven times slower).
const SKEW_LINES: usize = 9;

/// Shorter buffers are left alone.
const SKEW_FROM: usize = 128;

/// Assigns memory best-fit, in order of first use; a cache line has `line` elements. Buffers shorter
/// than that, of scalar programs, lie side by side behind the others. An error is the number of
/// elements at which the arena got longer than addresses reach.
pub(crate) fn assign(intervals: &[Interval], line: usize) -> Result<Layout, usize> {
    let mut order: Vec<u32> = (0..intervals.len() as u32).collect();
    order.sort_by_key(|&at| {
        let interval = &intervals[at as usize];
        (interval.first, interval.buffer)
    });
    let mut offsets = vec![0; intervals.len()];
    let (mut long, mut short) = (Region::default(), Region::default());
    for at in order {
        let interval = &intervals[at as usize];
        let skew = if interval.len < SKEW_FROM {
            0
        } else {
            SKEW_LINES * line
        };
        let inherited = interval.takes_over.map(|old| offsets[old as usize]);
        let offset = if interval.len < line {
            short.place(interval, interval.len, inherited)
        } else {
            let len = interval.len.next_multiple_of(line) + skew;
            long.place(interval, len, inherited)
        };
        let len = long.free.end + short.free.end;
        if len > Loc::MAX_LEN - line {
            return Err(len);
        }
        offsets[at as usize] = offset;
    }
    for (interval, offset) in intervals.iter().zip(&mut offsets) {
        if interval.len < line {
            *offset += long.free.end;
        }
    }
    Ok(Layout {
        offsets,
        len: (long.free.end + short.free.end).next_multiple_of(line),
    })
}

/// Memory for buffers of one kind.
#[derive(Default)]
struct Region {
    free: FreeList,
    /// (last read, offset, length) of what is alive.
    ends: BTreeSet<(u32, usize, usize)>,
}

impl Region {
    /// The offset of a buffer of `len`, which may take over another one's.
    fn place(&mut self, interval: &Interval, len: usize, inherited: Option<usize>) -> usize {
        // What was last read strictly before this buffer's first write is free again.
        while let Some(&(last, offset, len)) = self.ends.first()
            && last < interval.first
        {
            self.free.release(offset, len);
            self.ends.pop_first();
        }
        let offset = match inherited {
            Some(offset) => {
                self.ends.remove(&(interval.first, offset, len));
                offset
            }
            None => self.free.take(len),
        };
        self.ends.insert((interval.last, offset, len));
        offset
    }
}

/// Free pieces of the arena, merged with their neighbours.
#[derive(Default)]
struct FreeList {
    /// (length, offset): the first one that is long enough fits best.
    by_len: BTreeSet<(usize, usize)>,
    /// The length of the piece at each offset.
    by_offset: BTreeMap<usize, usize>,
    end: usize,
}

impl FreeList {
    fn take(&mut self, len: usize) -> usize {
        if len == 0 {
            return 0;
        }
        if let Some(&(size, offset)) = self.by_len.range((len, 0)..).next() {
            self.remove(offset, size);
            if size > len {
                self.insert(offset + len, size - len);
            }
            return offset;
        }
        // Grow, from the last free piece on if it reaches the end.
        let offset = match self.by_offset.last_key_value() {
            Some((&offset, &size)) if offset + size == self.end => {
                self.remove(offset, size);
                offset
            }
            _ => self.end,
        };
        self.end = offset + len;
        offset
    }

    fn release(&mut self, mut offset: usize, mut len: usize) {
        if len == 0 {
            return;
        }
        if let Some(&after) = self.by_offset.get(&(offset + len)) {
            self.remove(offset + len, after);
            len += after;
        }
        if let Some((&before, &size)) = self.by_offset.range(..offset).next_back()
            && before + size == offset
        {
            self.remove(before, size);
            (offset, len) = (before, len + size);
        }
        self.insert(offset, len);
    }

    fn insert(&mut self, offset: usize, len: usize) {
        self.by_len.insert((len, offset));
        self.by_offset.insert(offset, len);
    }

    fn remove(&mut self, offset: usize, len: usize) {
        self.by_len.remove(&(len, offset));
        self.by_offset.remove(&offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval(buffer: usize, len: usize, first: u32, last: u32) -> Interval {
        Interval {
            buffer: NodeId::from_index(buffer),
            len,
            first,
            last,
            takes_over: None,
        }
    }

    #[test]
    fn buffers_with_separate_lives_share_memory() {
        let intervals = [
            interval(0, 16, 0, 1),
            interval(1, 16, 1, 2),
            interval(2, 16, 2, 3),
        ];
        let layout = assign(&intervals, 8).unwrap();
        assert_eq!(layout.len, 32);
        assert_eq!(layout.offsets[0], layout.offsets[2]);
    }

    proptest! {
        #[test]
        fn buffers_alive_together_never_overlap(
            raw in prop::collection::vec((1_usize..50, 0_u32..20, 0_u32..10), 1..40)
        ) {
            let intervals: Vec<_> = raw
                .iter()
                .enumerate()
                .map(|(i, &(len, first, life))| interval(i, len, first, first + life))
                .collect();
            let layout = assign(&intervals, 8).unwrap();
            for a in &intervals {
                let x = layout.offsets[a.buffer.index()];
                prop_assert!(x + a.len <= layout.len);
                for b in &intervals[..a.buffer.index()] {
                    let y = layout.offsets[b.buffer.index()];
                    let together = a.first <= b.last && b.first <= a.last;
                    let overlap = x < y + b.len && y < x + a.len;
                    prop_assert!(!(together && overlap), "{a:?} at {x}, {b:?} at {y}");
                }
            }
        }
    }
}
