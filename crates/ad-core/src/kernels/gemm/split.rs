//! Cutting a range into parts that differ by at most one.

/// `count` parts, of which the first `longer` ones have `size` + 1 members and the others `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) count: usize,
    pub(super) size: usize,
    pub(super) longer: usize,
}

impl Split {
    /// As few parts as possible of at most `most` members each.
    #[inline]
    pub(super) fn new(total: usize, most: usize) -> Self {
        // Without a division, which would be most of the fixed cost of a tiny product.
        if total <= most {
            return Self {
                count: 1,
                size: total,
                longer: 0,
            };
        }
        let count = total.div_ceil(most);
        Self {
            count,
            size: total / count,
            longer: total % count,
        }
    }

    /// The length of the longest part.
    #[inline]
    pub(super) fn longest(self) -> usize {
        self.size + usize::from(self.longer > 0)
    }

    /// Where each part starts and how long it is.
    #[inline]
    pub(super) fn parts(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count).map(move |part| {
            let start = part * self.size + part.min(self.longer);
            (start, self.size + usize::from(part < self.longer))
        })
    }
}
