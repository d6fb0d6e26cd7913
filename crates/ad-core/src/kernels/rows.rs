//! The softmax family along axes of strided arrays: each result depends on all elements of its row.
//!
//! With m the largest element of a row, eⱼ = e^(zⱼ − m), where the exponent keeps the rounding of the
//! difference, and r the sum of all eⱼ but the largest one, which is 1: pⱼ = eⱼ/(1 + r), and
//! ln Σ e^zⱼ = m + ln(1 + r). So nothing cancels, at any finite elements, and the complement of the
//! largest probability is r/(1 + r) with all its digits.
//!
//! Probabilities are passed on *centred*: q = p − 1 where p > ½, else q = p. The sign tells which (q = −0 for
//! p = 1), and both p and 1 − p can be had from q.
#![allow(
    clippy::needless_range_loop,
    reason = "loops over lanes index several arrays alike, which is what the compiler vectorises"
)]

use std::fmt;

use super::isa::{Avx2, Avx512, Baseline, Isa, Level};
use super::reduce::Axes;
use crate::real::Real;
use crate::shape::Shape;

/// Numbers side by side: several registers of the widest vectors.
const LANES: usize = 32;

/// The most elements of rows that are taken one from each of [`LANES`] rows; more of them fill vectors
/// by themselves.
const SHORT: usize = 64;

/// What is computed of each row. A second operand, if there is one, is v.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// z ↦ ln Σ e^zⱼ, one number per row.
    LogSumExp,
    /// z ↦ √Σzⱼ², one number per row.
    Norm,
    /// z ↦ q
    Softmax,
    /// z ↦ −½ ln pⱼ
    HalfNegLogSoftmax,
    /// The last two, in this order.
    SoftmaxAndHalfNegLog,
    /// (q, v) ↦ p ⊙ (v − ⟨p, v⟩)
    SoftmaxProduct,
    /// (q, v) ↦ ⟨p, v⟩ − vⱼ
    LogProduct,
    /// (q, v) ↦ pⱼ Σv − vⱼ
    LogTranspose,
}

impl RowKind {
    pub(crate) fn n_operands(self) -> usize {
        match self {
            Self::SoftmaxProduct | Self::LogProduct | Self::LogTranspose => 2,
            _ => 1,
        }
    }

    pub(crate) fn n_results(self) -> usize {
        1 + usize::from(self == Self::SoftmaxAndHalfNegLog)
    }

    /// Arrays of groups in scratch memory: operands, and a second result.
    fn n_arrays(self) -> usize {
        self.n_operands().max(self.n_results())
    }

    /// Whether a row becomes one number.
    fn reduces(self) -> bool {
        matches!(self, Self::LogSumExp | Self::Norm)
    }
}

/// The rows of an operand or a result: kept axes lead from row to row, reduced ones along a row.
#[derive(Clone, Debug)]
struct Rows {
    kept: Axes,
    along: Axes,
}

impl Rows {
    fn new(shape: &Shape, strides: &[isize], axes: &[usize]) -> Self {
        let (kept, along) = Axes::split(shape, strides, axes);
        Self { kept, along }
    }
}

impl Rows {
    /// The strides from row to row and along a row, where there is one of each: the usual case, in which
    /// no position has to be divided into indices.
    #[inline(always)]
    fn plain(&self) -> Option<(isize, isize)> {
        Some((self.kept.single()?, self.along.single()?))
    }
}

/// A function of rows ready to run.
#[derive(Clone, Debug)]
pub(crate) struct RowJob<T> {
    kind: RowKind,
    level: Level,
    /// How many rows, and how many elements each has.
    count: usize,
    len: usize,
    operands: [Rows; 2],
    result: Rows,
    /// Whether all rows are short and stand one after the other, in operands and results.
    side_by_side: bool,
    marker: std::marker::PhantomData<T>,
}

/// One element of each of [`LANES`] rows, or that many of one row.
type Lanes<T> = [T; LANES];

impl<T: Real> RowJob<T> {
    /// Operands of one shape by their strides (one operand is given twice); the result is row-major.
    pub(crate) fn new(
        kind: RowKind,
        level: Level,
        shape: &Shape,
        strides: [&[isize]; 2],
        axes: &[usize],
    ) -> Self {
        let count: usize = shape.without(axes).len();
        let result = match kind {
            kind if kind.reduces() => {
                let one = shape.without(axes);
                Rows::new(&one, &one.row_major(), &[])
            }
            _ => Rows::new(shape, &shape.row_major(), axes),
        };
        let len: usize = axes.iter().map(|&axis| shape.dims()[axis]).product();
        let operands = strides.map(|strides| Rows::new(shape, strides, axes));
        let stands = |rows: &Rows| rows.plain() == Some((len as isize, 1));
        Self {
            kind,
            level,
            count,
            len,
            side_by_side: len <= SHORT && operands.iter().all(stands) && stands(&result),
            operands,
            result,
            marker: std::marker::PhantomData,
        }
    }

    /// Sizes and strides of an operand.
    pub(crate) fn operand(&self, which: usize) -> impl Iterator<Item = (usize, isize)> + '_ {
        let rows = &self.operands[which];
        rows.kept
            .sizes_and_strides()
            .chain(rows.along.sizes_and_strides())
    }

    /// The number of results.
    pub(crate) fn n_results(&self) -> usize {
        self.result.kept.len() * self.result.along.len()
    }

    /// Groups of [`LANES`] numbers that each operand takes in scratch memory.
    fn groups(&self) -> usize {
        if self.len <= SHORT {
            self.len
        } else {
            self.len.div_ceil(LANES)
        }
    }

    /// Elements of scratch memory that a run needs.
    pub(crate) fn scratch(&self) -> usize {
        self.kind.n_arrays() * self.groups() * LANES
    }

    /// Runs it for all rows.
    ///
    /// # Safety
    /// Operands are valid wherever sizes and strides reach, the result for its elements, `scratch` for
    /// [`Self::scratch`] elements, and none of them overlap but the operands.
    pub(crate) unsafe fn run(&self, from: [*const T; 2], to: [*mut T; 2], scratch: *mut T) {
        // SAFETY: passed on from the caller; the level was detected on this processor.
        unsafe {
            match self.level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.run_avx512(from, to, scratch),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.run_avx2(from, to, scratch),
                _ => self.body::<Baseline>(from, to, scratch),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    unsafe fn run_avx512(&self, from: [*const T; 2], to: [*mut T; 2], scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe { self.body::<Avx512>(from, to, scratch) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(&self, from: [*const T; 2], to: [*mut T; 2], scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe { self.body::<Avx2>(from, to, scratch) }
    }

    #[inline(always)]
    unsafe fn body<I: Isa>(&self, from: [*const T; 2], to: [*mut T; 2], scratch: *mut T) {
        let groups = self.groups();
        // SAFETY: `scratch` holds as many groups for each operand.
        let (first, second) = unsafe {
            let first = scratch.cast::<Lanes<T>>();
            let second = if self.kind.n_arrays() == 2 {
                first.add(groups)
            } else {
                first
            };
            (first, second)
        };
        let short = self.len <= SHORT;
        let at_once = if short { LANES } else { 1 };
        for row in (0..self.count).step_by(at_once) {
            // SAFETY: rows within the operands and the result; without a second operand its groups are
            // not touched.
            unsafe {
                let pad = self.padding();
                self.gather(0, from[0], row, first, pad);
                let x = std::slice::from_raw_parts_mut(first, groups);
                if self.kind.n_operands() == 2 {
                    self.gather(1, from[1], row, second, T::zero());
                }
                let v: &mut [Lanes<T>] = if self.kind.n_arrays() == 2 {
                    std::slice::from_raw_parts_mut(second, groups)
                } else {
                    &mut []
                };
                if self.kind.n_operands() == 2 && self.side_by_side && row + LANES <= self.count {
                    self.pairs::<I>([x, v], from, to[0], row);
                    continue;
                }
                let one = if short {
                    compute::<T, I, false>(self.kind, x, v)
                } else {
                    compute::<T, I, true>(self.kind, x, v)
                };
                if self.kind.reduces() {
                    self.put(&one, row, to[0]);
                } else {
                    self.scatter(row, first, to[0]);
                }
                if self.kind.n_results() == 2 {
                    self.scatter(row, second, to[1]);
                }
            }
        }
    }

    /// A function of two operands, whose elements have been gathered, for [`LANES`] rows side by side:
    /// the results go to their places row by row.
    #[inline(always)]
    unsafe fn pairs<I: Isa>(
        &self,
        lanes: [&[Lanes<T>]; 2],
        from: [*const T; 2],
        to: *mut T,
        row: usize,
    ) {
        let (start, n) = (row * self.len, LANES * self.len);
        // SAFETY: rows within the operands and the result.
        let (rows, to) = unsafe {
            (
                from.map(|from| std::slice::from_raw_parts(from.add(start), n)),
                std::slice::from_raw_parts_mut(to.add(start), n),
            )
        };
        match self.kind {
            RowKind::SoftmaxProduct => pair_rows::<T, I, SoftmaxProduct>(self.len, lanes, rows, to),
            RowKind::LogProduct => pair_rows::<T, I, LogProduct>(self.len, lanes, rows, to),
            _ => pair_rows::<T, I, LogTranspose>(self.len, lanes, rows, to),
        }
    }

    /// What elements beyond a row's end count as: of no weight.
    fn padding(&self) -> T {
        match self.kind {
            RowKind::Norm => T::zero(),
            kind if kind.n_operands() == 2 => T::zero(),
            _ => T::neg_infinity(),
        }
    }

    /// Copies rows from `row` on: one element of each beside those of the others (the last row again
    /// where there is none), or, of a long row, its elements.
    #[inline(always)]
    unsafe fn gather(&self, which: usize, from: *const T, row: usize, to: *mut Lanes<T>, pad: T) {
        let rows = &self.operands[which];
        let to = to.cast::<T>();
        let (width, stride) = rows.along.inner();
        let short = self.len <= SHORT;
        if let (true, Some((next, stride))) = (short, rows.plain()) {
            if row + LANES <= self.count {
                // Element by element, for gathers into vectors.
                for i in 0..self.len {
                    for lane in 0..LANES {
                        let at = (row + lane) as isize * next + i as isize * stride;
                        // SAFETY: within what the caller vouches for.
                        unsafe { *to.add(i * LANES + lane) = *from.offset(at) }
                    }
                }
                return;
            }
            for lane in 0..LANES {
                let at = (self.count - 1).min(row + lane);
                // SAFETY: within what the caller vouches for.
                unsafe {
                    let line = from.offset(at as isize * next);
                    for i in 0..self.len {
                        *to.add(i * LANES + lane) = *line.offset(i as isize * stride);
                    }
                }
            }
            return;
        }
        let (lanes, step) = if short { (LANES, LANES) } else { (1, 1) };
        for lane in 0..lanes {
            // SAFETY: within what the caller vouches for.
            unsafe {
                let line = from.offset(rows.kept.offset((self.count - 1).min(row + lane)));
                for start in (0..self.len).step_by(width.max(1)) {
                    let part = line.offset(rows.along.offset(start));
                    for i in 0..width {
                        *to.add((start + i) * step + lane) = *part.offset(i as isize * stride);
                    }
                }
            }
        }
        if !short {
            for at in self.len..self.groups() * LANES {
                // SAFETY: the rest of the last group.
                unsafe { *to.add(at) = pad }
            }
        }
    }

    /// The way back of [`Self::gather`], to the result.
    #[inline(always)]
    unsafe fn scatter(&self, row: usize, from: *const Lanes<T>, to: *mut T) {
        let rows = &self.result;
        let from = from.cast::<T>();
        let (width, stride) = rows.along.inner();
        let short = self.len <= SHORT;
        if let (true, Some((next, stride))) = (short, rows.plain()) {
            for lane in 0..LANES.min(self.count - row) {
                // SAFETY: within what the caller vouches for.
                unsafe {
                    let line = to.offset((row + lane) as isize * next);
                    for i in 0..self.len {
                        *line.offset(i as isize * stride) = *from.add(i * LANES + lane);
                    }
                }
            }
            return;
        }
        let (lanes, step) = if short {
            (LANES.min(self.count - row), LANES)
        } else {
            (1, 1)
        };
        for lane in 0..lanes {
            // SAFETY: within what the caller vouches for.
            unsafe {
                let line = to.offset(rows.kept.offset(row + lane));
                for start in (0..self.len).step_by(width.max(1)) {
                    let part = line.offset(rows.along.offset(start));
                    for i in 0..width {
                        *part.offset(i as isize * stride) = *from.add((start + i) * step + lane);
                    }
                }
            }
        }
    }

    /// Writes one number for each row.
    #[inline(always)]
    unsafe fn put(&self, values: &Lanes<T>, row: usize, to: *mut T) {
        let rows = if self.len <= SHORT {
            LANES.min(self.count - row)
        } else {
            1
        };
        // SAFETY: rows of the result, which is row-major.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to.add(row), rows) }
    }
}

impl<T> RowJob<T> {
    /// Numbers read and written.
    pub(crate) fn traffic(&self) -> usize {
        let result = if self.kind.reduces() { 1 } else { self.len };
        self.count * (self.kind.n_operands() * self.len + self.kind.n_results() * result)
    }
}

impl<T> fmt::Display for RowJob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} × {} elements", self.kind, self.count, self.len)
    }
}

/// Computes the function over the groups of `x`, in place, a second result over those of `v`; of a
/// function to one number, returns it. `ROW`: all lanes belong to one row.
#[inline(always)]
fn compute<T: Real, I: Isa, const ROW: bool>(
    kind: RowKind,
    x: &mut [Lanes<T>],
    v: &mut [Lanes<T>],
) -> Lanes<T> {
    match kind {
        RowKind::LogSumExp => log_sum_exp::<T, I, ROW>(x),
        RowKind::Norm => norm::<T, ROW>(x),
        RowKind::Softmax => softmax::<T, I, ROW>(x),
        RowKind::HalfNegLogSoftmax => half_neg_log_softmax::<T, I, ROW>(x),
        RowKind::SoftmaxAndHalfNegLog => softmax_and_half_neg_log::<T, I, ROW>(x, v),
        RowKind::SoftmaxProduct => pair::<T, I, SoftmaxProduct, ROW>(x, v),
        RowKind::LogProduct => pair::<T, I, LogProduct, ROW>(x, v),
        RowKind::LogTranspose => pair::<T, I, LogTranspose, ROW>(x, v),
    }
}

/// The largest element of each row; NaN if there is one.
#[inline(always)]
fn largest<T: Real, const ROW: bool>(x: &[Lanes<T>], size: impl Fn(T) -> T) -> Lanes<T> {
    let larger = |a: T, b: T| if (a > b) | a.is_nan() { a } else { b };
    let mut found = [T::neg_infinity(); LANES];
    for group in x {
        for at in 0..LANES {
            found[at] = larger(size(group[at]), found[at]);
        }
    }
    if ROW {
        let one = found
            .into_iter()
            .fold(T::neg_infinity(), |a, b| larger(b, a));
        return [one; LANES];
    }
    found
}

/// Sums with the rounding of each addition kept (Kahan): their errors do not grow with the terms.
struct Sums<T> {
    sum: Lanes<T>,
    excess: Lanes<T>,
}

impl<T: Real> Sums<T> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            sum: [T::zero(); LANES],
            excess: [T::zero(); LANES],
        }
    }

    #[inline(always)]
    fn add(&mut self, at: usize, term: T) {
        let term = term - self.excess[at];
        let sum = self.sum[at] + term;
        self.excess[at] = (sum - self.sum[at]) - term;
        self.sum[at] = sum;
    }

    /// The sums; of one row, the sum of all lanes in each.
    #[inline(always)]
    fn finish<const ROW: bool>(self) -> Lanes<T> {
        if !ROW {
            return self.sum;
        }
        let mut total = Self::new();
        for at in 0..LANES {
            total.add(0, self.sum[at]);
            total.add(0, -self.excess[at]);
        }
        [total.sum[0]; LANES]
    }
}

/// e^(x − m), with the rounding of the difference in the exponent.
#[inline(always)]
fn exp_below<T: Real, I: Isa>(x: T, m: T) -> T {
    let difference = x - m;
    let part = difference - x;
    let low = (x - (difference - part)) - (m + part);
    difference.lane_exp_of_difference::<I>(low)
}

/// Σ e^(x − m) over all but the largest element; where `KEEP`, the exponentials take the elements'
/// places. A NaN counts, wherever it stands.
#[inline(always)]
fn exps<T: Real, I: Isa, const ROW: bool, const KEEP: bool>(
    x: &mut [Lanes<T>],
    top: &Lanes<T>,
) -> Lanes<T> {
    let one = T::one();
    let (mut sums, mut ones) = (Sums::new(), [T::zero(); LANES]);
    for group in x {
        let mut e = [T::zero(); LANES];
        for at in 0..LANES {
            e[at] = exp_below::<T, I>(group[at], top[at]);
        }
        for at in 0..LANES {
            let largest = e[at] == one;
            ones[at] += if largest { one } else { T::zero() };
            sums.add(at, if largest { T::zero() } else { e[at] });
        }
        if KEEP {
            *group = e;
        }
    }
    // Of several largest elements one is left out.
    if ROW {
        ones = [ones.into_iter().fold(T::zero(), |a, b| a + b); LANES];
    }
    let mut rest = sums.finish::<ROW>();
    for at in 0..LANES {
        rest[at] += ones[at] - one;
    }
    rest
}

/// √Σx², with the largest |x| taken out.
#[inline(always)]
fn norm<T: Real, const ROW: bool>(x: &[Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(x, T::abs);
    let mut sums = Sums::new();
    for group in x {
        for at in 0..LANES {
            let ratio = group[at] / top[at];
            sums.add(at, ratio * ratio);
        }
    }
    let mut lengths = sums.finish::<ROW>();
    for at in 0..LANES {
        let length = top[at] * lengths[at].sqrt();
        // 0/0 and ∞/∞ have no value.
        let edge = (top[at] == T::zero()) | (top[at] == T::infinity());
        lengths[at] = if edge { top[at] } else { length };
    }
    lengths
}

#[inline(always)]
fn log_sum_exp<T: Real, I: Isa, const ROW: bool>(x: &mut [Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(x, |value| value);
    let rest = exps::<T, I, ROW, false>(x, &top);
    let mut result = top;
    for at in 0..LANES {
        let sum = top[at] + rest[at].lane_ln_1p::<I>();
        // An infinite largest element is the result; e^(∞ − ∞) has no value.
        let finite = top[at].abs() < T::infinity();
        result[at] = if finite { sum } else { top[at] };
    }
    result
}

#[inline(always)]
fn softmax<T: Real, I: Isa, const ROW: bool>(x: &mut [Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(x, |value| value);
    let rest = exps::<T, I, ROW, true>(x, &top);
    normalize::<T, I>(x, &rest)
}

/// Centred probabilities in the places of exponentials.
#[inline(always)]
fn normalize<T: Real, I: Isa>(x: &mut [Lanes<T>], rest: &Lanes<T>) -> Lanes<T> {
    let one = T::one();
    let (mut sum, mut reciprocal) = ([one; LANES], [one; LANES]);
    for at in 0..LANES {
        sum[at] = one + rest[at];
        reciprocal[at] = one / sum[at];
    }
    for group in x {
        for at in 0..LANES {
            // Of the largest p the complement, where it is the smaller one.
            let flip = (group[at] == one) & (rest[at] < one);
            let numerator = if flip { -rest[at] } else { group[at] };
            group[at] = quotient::<T, I>(numerator, sum[at], reciprocal[at]);
        }
    }
    sum
}

/// n/d, by 1/d and a correction where that is cheap.
#[inline(always)]
fn quotient<T: Real, I: Isa>(n: T, d: T, reciprocal: T) -> T {
    if !I::FMA {
        return n / d;
    }
    let q = n * reciprocal;
    let rest = (-q).fma::<I>(d, n);
    // Fused, a quotient of −0 would lose its sign.
    if n == T::zero() {
        q
    } else {
        rest.fma::<I>(reciprocal, q)
    }
}

#[inline(always)]
fn half_neg_log_softmax<T: Real, I: Isa, const ROW: bool>(x: &mut [Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(x, |value| value);
    let rest = exps::<T, I, ROW, false>(x, &top);
    half_neg_log::<T, I>(x, &top, &rest)
}

/// The centred softmax in the places of the elements, −½ ln p to `log`.
#[inline(always)]
fn softmax_and_half_neg_log<T: Real, I: Isa, const ROW: bool>(
    x: &mut [Lanes<T>],
    log: &mut [Lanes<T>],
) -> Lanes<T> {
    let top = largest::<T, ROW>(x, |value| value);
    log.copy_from_slice(x);
    let rest = exps::<T, I, ROW, true>(x, &top);
    half_neg_log::<T, I>(log, &top, &rest);
    normalize::<T, I>(x, &rest)
}

/// −½ ln p in the places of the elements.
#[inline(always)]
fn half_neg_log<T: Real, I: Isa>(x: &mut [Lanes<T>], top: &Lanes<T>, rest: &Lanes<T>) -> Lanes<T> {
    let half = T::one() / (T::one() + T::one());
    let mut log = [T::zero(); LANES];
    for at in 0..LANES {
        log[at] = half * rest[at].lane_ln_1p::<I>();
    }
    for group in x {
        for at in 0..LANES {
            group[at] = log[at] + (half * top[at] - half * group[at]);
        }
    }
    log
}

/// p of a centred probability.
#[inline(always)]
pub(crate) fn probability<T: Real>(q: T) -> T {
    if q.is_sign_negative() {
        T::one() + q
    } else {
        q
    }
}

/// A function of rows q and v by two numbers of each row: its *own* v, which is that of one element, and a
/// sum of terms.
trait Pair {
    /// How much an element deserves that its v is taken as the row's own.
    #[inline(always)]
    fn claim<T: Real>(q: T) -> T {
        probability(q)
    }

    #[inline(always)]
    fn term<T: Real>(q: T, v: T, own: T) -> T {
        probability(q) * (v - own)
    }

    fn result<T: Real, I: Isa>(q: T, v: T, sum: T, own: T) -> T;
}

/// p ⊙ (v − ⟨p, v⟩). It does not change if v is shifted: by its value where p is largest, so that this
/// term, which may be all but the sum's last digits, is zero.
struct SoftmaxProduct;

impl Pair for SoftmaxProduct {
    #[inline(always)]
    fn result<T: Real, I: Isa>(q: T, v: T, sum: T, own: T) -> T {
        probability(q) * ((v - own) - sum)
    }
}

/// ⟨p, v⟩ − v, in the same way.
struct LogProduct;

impl Pair for LogProduct {
    #[inline(always)]
    fn result<T: Real, I: Isa>(_q: T, v: T, sum: T, own: T) -> T {
        sum - (v - own)
    }
}

/// p Σv − v, and where p is centred around 1, which one element of a row may be, as
/// (Σv − v) − (1 − p) Σv, whose first part is the sum of the other elements.
struct LogTranspose;

impl Pair for LogTranspose {
    /// v where p is centred around 1, else 0.
    #[inline(always)]
    fn claim<T: Real>(q: T) -> T {
        if q.is_sign_negative() {
            T::one()
        } else {
            T::zero()
        }
    }
    #[inline(always)]
    fn term<T: Real>(q: T, v: T, _own: T) -> T {
        if q.is_sign_negative() { T::zero() } else { v }
    }
    #[inline(always)]
    fn result<T: Real, I: Isa>(q: T, v: T, sum: T, own: T) -> T {
        let rest = if q.is_sign_negative() { sum } else { -v };
        q.fma::<I>(sum + own, rest)
    }
}

/// The sum and the own v of each row.
#[inline(always)]
fn sum_and_own<T: Real, P: Pair, const ROW: bool>(
    q: &[Lanes<T>],
    v: &[Lanes<T>],
) -> (Lanes<T>, Lanes<T>) {
    let (mut claim, mut own) = ([T::zero(); LANES], [T::zero(); LANES]);
    for (q, v) in q.iter().zip(v) {
        let mut new = *q;
        for at in 0..LANES {
            new[at] = P::claim(new[at]);
        }
        // By copies: else addresses are chosen instead of numbers.
        let (old, v) = (own, *v);
        for at in 0..LANES {
            own[at] = if new[at] > claim[at] { v[at] } else { old[at] };
        }
        for at in 0..LANES {
            claim[at] = if new[at] > claim[at] {
                new[at]
            } else {
                claim[at]
            };
        }
    }
    if ROW {
        let mut best = 0;
        for at in 1..LANES {
            best = if claim[at] > claim[best] { at } else { best };
        }
        own = [own[best]; LANES];
    }
    let mut sums = Sums::new();
    for (q, v) in q.iter().zip(v) {
        for at in 0..LANES {
            sums.add(at, P::term(q[at], v[at], own[at]));
        }
    }
    (sums.finish::<ROW>(), own)
}

/// The function over the groups of `q`, in place.
#[inline(always)]
fn pair<T: Real, I: Isa, P: Pair, const ROW: bool>(q: &mut [Lanes<T>], v: &[Lanes<T>]) -> Lanes<T> {
    let (sum, own) = sum_and_own::<T, P, ROW>(q, v);
    for (q, v) in q.iter_mut().zip(v) {
        for at in 0..LANES {
            q[at] = P::result::<T, I>(q[at], v[at], sum[at], own[at]);
        }
    }
    sum
}

/// The function of [`LANES`] rows of `len` elements, one after the other, and gathered in lanes.
#[inline(always)]
fn pair_rows<T: Real, I: Isa, P: Pair>(
    len: usize,
    lanes: [&[Lanes<T>]; 2],
    [q, v]: [&[T]; 2],
    to: &mut [T],
) {
    let (sum, own) = sum_and_own::<T, P, false>(lanes[0], lanes[1]);
    let rows = q.chunks_exact(len).zip(v.chunks_exact(len));
    for (at, ((q, v), to)) in rows.zip(to.chunks_exact_mut(len)).enumerate() {
        if len >= WIDE {
            row::<T, I, P, WIDE>(q, v, to, sum[at], own[at]);
        } else {
            row::<T, I, P, 1>(q, v, to, sum[at], own[at]);
        }
    }
}

/// Elements of a row that are computed together.
const WIDE: usize = 8;

/// The results of one row of at least `N` elements: its last group begins within the one before.
#[inline(always)]
fn row<T: Real, I: Isa, P: Pair, const N: usize>(q: &[T], v: &[T], to: &mut [T], sum: T, own: T) {
    let last = q.len() - N;
    let mut start = 0;
    loop {
        let (q, v) = (group::<T, N>(q, start), group::<T, N>(v, start));
        let mut result = [T::zero(); N];
        for i in 0..N {
            result[i] = P::result::<T, I>(q[i], v[i], sum, own);
        }
        to[start..start + N].copy_from_slice(&result);
        if start == last {
            return;
        }
        start = last.min(start + N);
    }
}

#[inline(always)]
fn group<T: Real, const N: usize>(x: &[T], start: usize) -> [T; N] {
    *x[start..].first_chunk().expect("a group within the row")
}
