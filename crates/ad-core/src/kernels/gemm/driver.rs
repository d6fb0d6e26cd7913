//! The loops around the micro-kernels.

use super::dot::Dots;
use super::pack::Panel;
use super::plan::{Packing, Plan, TilePlan};
use super::problem::Problem;
use super::scalar::Kernels;
use super::split::Split;
use super::tile::Tiles;

/// One call: the operands, the room for copies, and what the plan says.
pub(super) struct Run<'a, T: 'static> {
    pub(super) kernels: &'a Kernels<T>,
    pub(super) problem: &'a Problem,
    pub(super) a: *const T,
    pub(super) b: *const T,
    pub(super) c: *mut T,
    pub(super) a_copy: *mut T,
    pub(super) b_copy: *mut T,
}

/// The numbers of k of which A is packed at a time: so few that their pages' addresses stay known.
const DEPTH_TO_PACK_A: usize = 32;

/// A part of a [`Split`]: where it starts and how long it is.
type Part = (usize, usize);

/// The blocks of rows, of k and of columns (in vectors) that a step works on.
#[derive(Clone, Copy)]
struct Block {
    batch: isize,
    rows: Part,
    depth: Part,
    cols: Part,
}

impl<T: Copy + Default> Run<'_, T> {
    /// Runs the plan.
    ///
    /// # Safety
    /// The kernels' instruction set must be there, every address that the problem reaches from the
    /// operands must be valid, and the copies must have the room that the plan asks for.
    pub(super) unsafe fn run(&self, plan: &Plan) {
        // SAFETY: the same contract.
        unsafe {
            match plan {
                Plan::Empty => self.clear(),
                Plan::Dots { copy_a } => self.dots(*copy_a),
                Plan::Tile { vectors } => self.tile(*vectors),
                Plan::Tiles(plan) => self.tiles(plan),
            }
        }
    }

    /// A product over no k at all: zero.
    unsafe fn clear(&self) {
        let s = &self.problem.shape;
        if s.accumulate {
            return;
        }
        for batch in 0..s.batch as isize {
            for i in 0..s.m as isize {
                for j in 0..s.n as isize {
                    let at = batch * s.c_batch + i * s.c_row + j * self.problem.c_col;
                    // SAFETY: an entry of C.
                    unsafe { *self.c.offset(at) = T::default() }
                }
            }
        }
    }

    unsafe fn dots(&self, copy_a: bool) {
        let s = &self.problem.shape;
        let kernels = self.kernels.dots[s.m - 1];
        let split = Split::new(s.n, kernels.len());
        for batch in 0..s.batch as isize {
            // SAFETY: the batch's operands, and columns that the split takes from n.
            unsafe {
                let a = self.a.offset(batch * s.a_batch);
                if copy_a && (batch == 0 || s.a_batch != 0) {
                    self.copy_rows(a);
                }
                let mut d = Dots {
                    count: split.longer,
                    k: s.k,
                    a: if copy_a { self.a_copy } else { a },
                    a_row: if copy_a { s.k as isize } else { s.a_row },
                    b: self.b.offset(batch * s.b_batch),
                    b_col: s.b_col,
                    c: self.c.offset(batch * s.c_batch),
                    c_row: s.c_row,
                    c_col: self.problem.c_col,
                    accumulate: s.accumulate,
                };
                if split.longer > 0 {
                    kernels[split.size](&d);
                    let done = (split.longer * (split.size + 1)) as isize;
                    d.b = d.b.wrapping_offset(done * s.b_col);
                    d.c = d.c.wrapping_offset(done * self.problem.c_col);
                }
                d.count = split.count - split.longer;
                kernels[split.size - 1](&d);
            }
        }
    }

    /// Copies the rows of A so that each is contiguous.
    unsafe fn copy_rows(&self, a: *const T) {
        let s = &self.problem.shape;
        for i in 0..s.m {
            for p in 0..s.k {
                // SAFETY: an entry of A, and one of the m·k numbers of the copy.
                unsafe {
                    let entry = a.offset(i as isize * s.a_row + p as isize * s.a_col);
                    *self.a_copy.add(i * s.k + p) = *entry;
                }
            }
        }
    }

    unsafe fn tile(&self, vectors: usize) {
        let s = &self.problem.shape;
        let last_lanes = s.n - (vectors - 1) * self.kernels.lanes;
        let full = last_lanes == self.kernels.lanes;
        // SAFETY: the tile is the whole of C.
        unsafe {
            self.kernels.tiles[vectors - 1][s.m - 1][usize::from(full)](&Tiles {
                blocks: 1,
                k: s.k,
                a: self.a,
                a_row: s.a_row,
                a_col: s.a_col,
                a_block: 0,
                b: self.b,
                b_row: s.b_row,
                c: self.c,
                c_row: s.c_row,
                last_lanes,
                accumulate: s.accumulate,
            });
        }
    }

    unsafe fn tiles(&self, plan: &TilePlan) {
        let s = &self.problem.shape;
        let a_shared = plan.pack_a && s.a_batch == 0;
        for cols in plan.cols.parts() {
            for depth in plan.depths.parts() {
                let block = Block {
                    batch: 0,
                    rows: (0, 0),
                    depth,
                    cols,
                };
                // SAFETY: blocks inside the problem; the copies are made before they are read.
                unsafe {
                    if a_shared {
                        self.tiles_sharing_a(plan, block);
                    } else {
                        self.tiles_sharing_b(plan, block);
                    }
                }
            }
        }
    }

    /// A block of A, packed once, against the whole batch.
    unsafe fn tiles_sharing_a(&self, plan: &TilePlan, mut block: Block) {
        for rows in plan.rows.parts() {
            block.rows = rows;
            // SAFETY: a block inside the problem, packed before it is read.
            unsafe {
                self.pack_a(plan, block);
                for batch in 0..self.problem.shape.batch as isize {
                    block.batch = batch;
                    if batch == 0 || self.problem.shape.b_batch != 0 {
                        self.pack_b(plan, block);
                    }
                    self.sweep(plan, block);
                }
            }
        }
    }

    /// A block of B, packed once if the batch shares it.
    unsafe fn tiles_sharing_b(&self, plan: &TilePlan, mut block: Block) {
        let s = &self.problem.shape;
        for batch in 0..s.batch as isize {
            block.batch = batch;
            // SAFETY: a block inside the problem, packed before it is read.
            unsafe {
                if batch == 0 || s.b_batch != 0 {
                    self.pack_b(plan, block);
                }
                for rows in plan.rows.parts() {
                    block.rows = rows;
                    self.pack_a(plan, block);
                    self.sweep(plan, block);
                }
            }
        }
    }

    /// Packs the panels of a block of A, one below the other, if the plan says so: all panels of a
    /// few numbers of k before the next ones, since each k may lie on a page of its own.
    unsafe fn pack_a(&self, plan: &TilePlan, block: Block) {
        if !plan.pack_a {
            return;
        }
        let s = &self.problem.shape;
        let depth = block.depth.1;
        for p in (0..depth).step_by(DEPTH_TO_PACK_A) {
            for (start, height) in Split::new(block.rows.1, plan.tallest).parts() {
                let entry = start as isize * s.a_row + p as isize * s.a_col;
                // SAFETY: rows and columns of the block, and as many numbers of the copy.
                unsafe {
                    (self.kernels.pack)(&Panel {
                        from: self.a_at(block).offset(entry),
                        p_stride: s.a_col,
                        j_stride: s.a_row,
                        depth: DEPTH_TO_PACK_A.min(depth - p),
                        width: height,
                        to: self.a_copy.add(start * depth + p * height),
                        to_row: height,
                    });
                }
            }
        }
    }

    /// Packs the panels of a block of B, one after the other, if the plan says so.
    unsafe fn pack_b(&self, plan: &TilePlan, block: Block) {
        if plan.pack_b != Packing::Block {
            return;
        }
        for panel in Split::new(block.cols.1, plan.widest).parts() {
            // SAFETY: a panel of the block, and as many numbers of the copy.
            unsafe { self.pack_panel(block, panel, self.b_panel(block, panel)) }
        }
    }

    /// Where a panel of B lies among all panels of the block.
    fn b_panel(&self, block: Block, (start, _): Part) -> *mut T {
        self.b_copy
            .wrapping_add(start * self.kernels.lanes * block.depth.1)
    }

    /// The first column of a panel within its block, and how many there are.
    fn columns(&self, block: Block, (start, vectors): Part) -> (usize, usize) {
        let lanes = self.kernels.lanes;
        let first = start * lanes;
        let left = self.problem.shape.n - block.cols.0 * lanes - first;
        (first, left.min(vectors * lanes))
    }

    /// Packs a panel, so many vectors of columns of a block of B.
    unsafe fn pack_panel(&self, block: Block, panel: Part, to: *mut T) {
        let s = &self.problem.shape;
        let (first, width) = self.columns(block, panel);
        // SAFETY: rows and columns of the block, and as many numbers of the copy.
        unsafe {
            (self.kernels.pack)(&Panel {
                from: self.b_at(block).offset(first as isize * s.b_col),
                p_stride: s.b_row,
                j_stride: s.b_col,
                depth: block.depth.1,
                width,
                to,
                to_row: panel.1 * self.kernels.lanes,
            });
        }
    }

    /// Multiplies a block of A and a block of B, panel by panel of B.
    unsafe fn sweep(&self, plan: &TilePlan, block: Block) {
        let (s, lanes) = (&self.problem.shape, self.kernels.lanes);
        let depth = block.depth.1;
        for (start, vectors) in Split::new(block.cols.1, plan.widest).parts() {
            let (first, width) = self.columns(block, (start, vectors));
            let last_lanes = width - (vectors - 1) * lanes;
            // SAFETY: the panel's columns are inside B, its copy, and C.
            unsafe {
                let c = self.c.offset(
                    block.batch * s.c_batch
                        + block.rows.0 as isize * s.c_row
                        + (block.cols.0 * lanes + first) as isize,
                );
                let packed_row = (vectors * lanes) as isize;
                let (b, b_row) = match plan.pack_b {
                    Packing::Nothing => (self.b_at(block).add(first), s.b_row),
                    Packing::Panel => {
                        self.pack_panel(block, (start, vectors), self.b_copy);
                        (self.b_copy.cast_const(), packed_row)
                    }
                    Packing::Block => {
                        let panel = self.b_panel(block, (start, vectors));
                        (panel.cast_const(), packed_row)
                    }
                };
                let tiles = Tiles {
                    blocks: 0,
                    k: depth,
                    a: if plan.pack_a {
                        self.a_copy
                    } else {
                        self.a_at(block)
                    },
                    a_row: s.a_row,
                    a_col: s.a_col,
                    a_block: 0,
                    b,
                    b_row,
                    c,
                    c_row: s.c_row,
                    last_lanes,
                    accumulate: s.accumulate || block.depth.0 > 0,
                };
                let full = plan.pack_b != Packing::Nothing || last_lanes == lanes;
                self.stack(plan, tiles, block.rows.1, (vectors, full));
            }
        }
    }

    /// Runs the tiles of one panel of B: first the taller ones, then the others.
    unsafe fn stack(
        &self,
        plan: &TilePlan,
        mut tiles: Tiles<T>,
        rows: usize,
        (vectors, full): (usize, bool),
    ) {
        let split = Split::new(rows, plan.tallest);
        let kernels = self.kernels.tiles[vectors - 1];
        for (blocks, height) in [
            (split.longer, split.size + 1),
            (split.count - split.longer, split.size),
        ] {
            if blocks == 0 {
                continue;
            }
            let h = height as isize;
            tiles.blocks = blocks;
            if plan.pack_a {
                (tiles.a_row, tiles.a_col) = (1, h);
                tiles.a_block = h * tiles.k as isize;
            } else {
                tiles.a_block = h * tiles.a_row;
            }
            // SAFETY: `blocks` tiles of this height are inside A and C.
            unsafe { kernels[height - 1][usize::from(full)](&tiles) }
            tiles.a = tiles.a.wrapping_offset(blocks as isize * tiles.a_block);
            tiles.c = tiles.c.wrapping_offset(blocks as isize * h * tiles.c_row);
        }
    }

    /// The first entry of a block of A.
    fn a_at(&self, block: Block) -> *const T {
        let s = &self.problem.shape;
        self.a.wrapping_offset(
            block.batch * s.a_batch
                + block.rows.0 as isize * s.a_row
                + block.depth.0 as isize * s.a_col,
        )
    }

    /// The first entry of a block of B.
    fn b_at(&self, block: Block) -> *const T {
        let (s, lanes) = (&self.problem.shape, self.kernels.lanes);
        self.b.wrapping_offset(
            block.batch * s.b_batch
                + block.depth.0 as isize * s.b_row
                + (block.cols.0 * lanes) as isize * s.b_col,
        )
    }
}
