//! Which kernels a product runs on, what is copied first, and how large the blocks are.

use super::problem::Problem;
use super::scalar::Kernels;
use super::split::Split;

/// How to run a product.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    /// Nothing to multiply.
    Empty,
    /// Dot products of contiguous vectors; the rows of A are copied first if they are not.
    Dots { copy_a: bool },
    /// A single register tile, of so many vectors; nothing is copied.
    Tile { vectors: usize },
    /// Register tiles.
    Tiles(TilePlan),
}

/// What is copied of B before it is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Nothing.
    Nothing,
    /// Panel by panel, each just before the only sweep that reads it: the copy then stays in the
    /// first-level cache.
    Panel,
    /// All panels of a block, which several sweeps read.
    Block,
}

/// How to run a product on register tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct TilePlan {
    pub(super) pack_a: bool,
    pub(super) pack_b: Packing,
    /// The most vectors of columns that a tile has.
    pub(super) widest: usize,
    /// The most rows that a tile has.
    pub(super) tallest: usize,
    /// Blocks of k.
    pub(super) depths: Split,
    /// Blocks of rows.
    pub(super) rows: Split,
    /// Blocks of columns, counted in vectors.
    pub(super) cols: Split,
}

/// The numbers of k in a block where B is read in place.
const DEPTH_IN_PLACE: usize = 128;
/// The same where B is packed and C stays in the second-level cache: panels of B, 256 bytes wide, then
/// stay in the first-level one.
const DEPTH_SMALL_C: usize = 128;
/// The same where C is larger: panels of B then come from the second-level cache in part, which costs
/// less than visiting C more often.
const DEPTH_LARGE_C: usize = 256;
/// The most bytes of a small C: half of the second-level cache.
const BYTES_OF_SMALL_C: usize = 1 << 20;
/// A block of A in bytes, and a block of B: each a part of the second-level cache.
const BLOCK_BYTES: usize = 1 << 19;
/// Below this many rows a packed B is not read often enough to pay for the copy.
const ROWS_TO_PACK_B: usize = 32;
/// From this many rows on tiles are wide. Fewer are better cut into a few tall ones.
const ROWS_FOR_WIDE_TILES: usize = 32;
/// Up to this many bytes B stays in the first-level cache anyway.
const BYTES_TO_PACK_B: usize = 24 << 10;
/// Up to this many vectors of columns B is one panel, as good in place as packed.
const VECTORS_OF_A_PANEL: usize = 4;
/// Below this many vectors of columns a packed A is not read often enough.
const VECTORS_TO_PACK_A: usize = 24;

impl Plan {
    #[inline]
    pub(super) fn new<T>(problem: &Problem, kernels: &Kernels<T>) -> Self {
        let s = &problem.shape;
        if s.m == 0 || s.n == 0 || s.k == 0 || s.batch == 0 {
            return Self::Empty;
        }
        if s.b_row == 1
            && s.m <= kernels.dots.len()
            && (s.n == 1 || s.b_col != 1 || problem.c_col != 1)
        {
            return Self::Dots {
                copy_a: s.a_col != 1,
            };
        }
        if s.b_col == 1 && s.batch == 1 && s.k <= DEPTH_IN_PLACE {
            let vectors = kernels.vectors(s.n);
            if kernels
                .tiles
                .get(vectors - 1)
                .is_some_and(|heights| s.m <= heights.len())
            {
                return Self::Tile { vectors };
            }
        }
        Self::Tiles(TilePlan::new(problem, kernels))
    }

    /// How many numbers the copies of A and of B need.
    #[inline]
    pub(super) fn scratch<T>(&self, problem: &Problem, kernels: &Kernels<T>) -> (usize, usize) {
        let s = &problem.shape;
        match self {
            Self::Empty | Self::Tile { .. } => (0, 0),
            Self::Dots { copy_a } => (if *copy_a { s.m * s.k } else { 0 }, 0),
            Self::Tiles(t) => {
                let depth = t.depths.longest();
                let rows = if t.pack_a { t.rows.longest() } else { 0 };
                let vectors = match t.pack_b {
                    Packing::Nothing => 0,
                    Packing::Panel => t.widest,
                    Packing::Block => t.cols.longest(),
                };
                (depth * rows, depth * vectors * kernels.lanes)
            }
        }
    }
}

impl TilePlan {
    #[inline]
    fn new<T>(problem: &Problem, kernels: &Kernels<T>) -> Self {
        let s = &problem.shape;
        let size = size_of::<T>();
        let vectors = kernels.vectors(s.n);
        let large = s.k * s.n * size > BYTES_TO_PACK_B;
        let often = s.m >= ROWS_TO_PACK_B && vectors > VECTORS_OF_A_PANEL;
        let pack_b = s.b_col != 1 || (large && often);
        let pack_a = large && s.a_row == 1 && s.a_col != 1 && vectors >= VECTORS_TO_PACK_A;
        let depth = match pack_b {
            false => DEPTH_IN_PLACE,
            true if s.m * s.n * size <= BYTES_OF_SMALL_C => DEPTH_SMALL_C,
            true => DEPTH_LARGE_C,
        };
        let depths = Split::new(s.k, depth);
        let block = |row: usize| (BLOCK_BYTES / (depths.longest() * row)).max(16);
        let cols = if pack_b {
            block(size * kernels.lanes)
        } else {
            usize::MAX
        };
        let cols = Split::new(vectors, cols);
        // An odd number of vectors would leave a narrow tile behind.
        let few = if vectors % 2 == 1 {
            kernels.widest_odd
        } else {
            kernels.widest_even
        };
        let widest = if s.m < ROWS_FOR_WIDE_TILES {
            few
        } else {
            kernels.widest
        };
        let widest = Split::new(cols.longest(), widest).longest();
        let rows = Split::new(s.m, block(size));
        let swept_once = rows.count == 1 && (s.batch == 1 || s.b_batch != 0);
        Self {
            pack_a,
            pack_b: match (pack_b, swept_once) {
                (false, _) => Packing::Nothing,
                (true, true) => Packing::Panel,
                (true, false) => Packing::Block,
            },
            widest,
            tallest: kernels.tiles[widest - 1].len(),
            depths,
            rows,
            cols,
        }
    }
}
