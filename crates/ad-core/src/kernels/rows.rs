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
    /// z ↦ ln Σ e^zⱼ, one number a row.
    LogSumExp,
    /// z ↦ √Σzⱼ², one number a row.
    Norm,
    /// z ↦ q
    Softmax,
    /// z ↦ −½ ln pⱼ
    HalfNegLogSoftmax,
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
            Self::LogSumExp | Self::Norm | Self::Softmax | Self::HalfNegLogSoftmax => 1,
            Self::SoftmaxProduct | Self::LogProduct | Self::LogTranspose => 2,
        }
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
            RowKind::LogSumExp | RowKind::Norm => {
                let one = shape.without(axes);
                Rows::new(&one, &one.row_major(), &[])
            }
            _ => Rows::new(shape, &shape.row_major(), axes),
        };
        Self {
            kind,
            level,
            count,
            len: axes.iter().map(|&axis| shape.dims()[axis]).product(),
            operands: strides.map(|strides| Rows::new(shape, strides, axes)),
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
        self.kind.n_operands() * self.groups() * LANES
    }

    /// Runs it for all rows.
    ///
    /// # Safety
    /// Operands are valid wherever sizes and strides reach, the result for its elements, `scratch` for
    /// [`Self::scratch`] elements, and none of them overlap but the operands.
    pub(crate) unsafe fn run(&self, from: [*const T; 2], to: *mut T, scratch: *mut T) {
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
    unsafe fn run_avx512(&self, from: [*const T; 2], to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe { self.body::<Avx512>(from, to, scratch) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(&self, from: [*const T; 2], to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe { self.body::<Avx2>(from, to, scratch) }
    }

    #[inline(always)]
    unsafe fn body<I: Isa>(&self, from: [*const T; 2], to: *mut T, scratch: *mut T) {
        let groups = self.groups();
        // SAFETY: `scratch` holds as many groups for each operand.
        let (first, second) = unsafe {
            let first = scratch.cast::<Lanes<T>>();
            let second = if self.kind.n_operands() == 2 {
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
                let v: &mut [Lanes<T>] = if self.kind.n_operands() == 2 {
                    self.gather(1, from[1], row, second, T::zero());
                    std::slice::from_raw_parts_mut(second, groups)
                } else {
                    &mut []
                };
                let one = if short {
                    compute::<T, I, false>(self.kind, x, v)
                } else {
                    compute::<T, I, true>(self.kind, x, v)
                };
                match self.kind {
                    RowKind::LogSumExp | RowKind::Norm => self.put(&one, row, to),
                    _ => self.scatter(row, first, to),
                }
            }
        }
    }

    /// What elements beyond a row's end count as: of no weight.
    fn padding(&self) -> T {
        match self.kind {
            RowKind::LogSumExp | RowKind::Softmax | RowKind::HalfNegLogSoftmax => T::neg_infinity(),
            _ => T::zero(),
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
        let results = if matches!(self.kind, RowKind::LogSumExp | RowKind::Norm) {
            1
        } else {
            self.len
        };
        self.count * (self.kind.n_operands() * self.len + results)
    }
}

impl<T> fmt::Display for RowJob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} × {} elements", self.kind, self.count, self.len)
    }
}

/// Computes the function over the groups of `x`, in place; of a function to one number, returns it.
/// `ROW`: all lanes belong to one row.
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
        RowKind::SoftmaxProduct => product::<T, ROW>(x, v, true),
        RowKind::LogProduct => product::<T, ROW>(x, v, false),
        RowKind::LogTranspose => transpose::<T, I, ROW>(x, v),
    }
}

/// The largest element of each row, and the group that it stands in: −1 in lanes that do not have it.
struct Largest<T> {
    value: Lanes<T>,
    group: Lanes<T>,
}

/// The first largest element; NaN if there is one.
#[inline(always)]
fn largest<T: Real, const ROW: bool>(x: &[Lanes<T>], size: impl Fn(T) -> T) -> Largest<T> {
    let mut found = Largest {
        value: [T::neg_infinity(); LANES],
        group: [T::zero(); LANES],
    };
    let mut index = T::zero();
    for group in x {
        for at in 0..LANES {
            let value = size(group[at]);
            let larger = (value > found.value[at]) | value.is_nan();
            found.value[at] = if larger { value } else { found.value[at] };
            found.group[at] = if larger { index } else { found.group[at] };
        }
        index += T::one();
    }
    if ROW {
        let mut best = 0;
        for at in 1..LANES {
            let value = found.value[at];
            if value > found.value[best] || (value.is_nan() && !found.value[best].is_nan()) {
                best = at;
            }
        }
        let (value, group) = (found.value[best], found.group[best]);
        found.value = [value; LANES];
        found.group = [-T::one(); LANES];
        found.group[best] = group;
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

/// Σ e^(x − m) over all but the largest; where `keep`, the exponentials take the elements' places.
#[inline(always)]
fn rest_of_exps<T: Real, I: Isa, const ROW: bool>(
    x: &mut [Lanes<T>],
    top: &Largest<T>,
    keep: bool,
) -> Lanes<T> {
    let mut sums = Sums::new();
    let mut index = T::zero();
    for group in x {
        let mut e = [T::zero(); LANES];
        for at in 0..LANES {
            e[at] = exp_below::<T, I>(group[at], top.value[at]);
        }
        for at in 0..LANES {
            // A NaN counts, wherever it stands.
            let skip = (top.group[at] == index) & (e[at] == T::one());
            sums.add(at, if skip { T::zero() } else { e[at] });
        }
        if keep {
            *group = e;
        }
        index += T::one();
    }
    sums.finish::<ROW>()
}

/// √Σx², with the largest |x| taken out.
#[inline(always)]
fn norm<T: Real, const ROW: bool>(x: &[Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(x, T::abs).value;
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
    let rest = rest_of_exps::<T, I, ROW>(x, &top, false);
    let mut result = top.value;
    for at in 0..LANES {
        let sum = top.value[at] + rest[at].lane_ln_1p::<I>();
        // An infinite largest element is the result; e^(∞ − ∞) has no value.
        let finite = top.value[at].abs() < T::infinity();
        result[at] = if finite { sum } else { top.value[at] };
    }
    result
}

#[inline(always)]
fn softmax<T: Real, I: Isa, const ROW: bool>(x: &mut [Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(x, |value| value);
    let rest = rest_of_exps::<T, I, ROW>(x, &top, true);
    let one = T::one();
    let (mut sum, mut reciprocal) = ([one; LANES], [one; LANES]);
    for at in 0..LANES {
        sum[at] = one + rest[at];
        reciprocal[at] = one / sum[at];
    }
    let mut index = T::zero();
    for group in x {
        for at in 0..LANES {
            // Of the largest p the complement, where it is the smaller one.
            let flip = (top.group[at] == index) & (rest[at] < one);
            let numerator = if flip { -rest[at] } else { group[at] };
            group[at] = quotient::<T, I>(numerator, sum[at], reciprocal[at]);
        }
        index += T::one();
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
    let rest = rest_of_exps::<T, I, ROW>(x, &top, false);
    let half = T::one() / (T::one() + T::one());
    let mut log = [T::zero(); LANES];
    for at in 0..LANES {
        log[at] = half * rest[at].lane_ln_1p::<I>();
    }
    for group in x {
        for at in 0..LANES {
            group[at] = log[at] + (half * top.value[at] - half * group[at]);
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

/// p ⊙ (v − ⟨p, v⟩), or ⟨p, v⟩ − v. Both do not change if v is shifted: by its value where p is
/// largest, so that this term, which may be all but the sum's last digits, is zero.
#[inline(always)]
fn product<T: Real, const ROW: bool>(
    q: &mut [Lanes<T>],
    v: &mut [Lanes<T>],
    weighted: bool,
) -> Lanes<T> {
    let top = largest::<T, ROW>(q, probability);
    let shift = at_largest::<T, ROW>(v, &top);
    let mut sums = Sums::new();
    for (q, v) in q.iter_mut().zip(v.iter_mut()) {
        for at in 0..LANES {
            v[at] -= shift[at];
            sums.add(at, probability(q[at]) * v[at]);
        }
    }
    let mean = sums.finish::<ROW>();
    for (q, v) in q.iter_mut().zip(v.iter()) {
        for at in 0..LANES {
            q[at] = if weighted {
                probability(q[at]) * (v[at] - mean[at])
            } else {
                mean[at] - v[at]
            };
        }
    }
    mean
}

/// v where p is largest.
#[inline(always)]
fn at_largest<T: Real, const ROW: bool>(v: &[Lanes<T>], top: &Largest<T>) -> Lanes<T> {
    let mut found = [T::zero(); LANES];
    let mut index = T::zero();
    for group in v {
        for at in 0..LANES {
            found[at] = if top.group[at] == index {
                group[at]
            } else {
                found[at]
            };
        }
        index += T::one();
    }
    if ROW {
        for at in 0..LANES {
            if top.group[at] >= T::zero() {
                return [found[at]; LANES];
            }
        }
    }
    found
}

/// p Σv − v, and where p is centred around 1 as (Σv − v) − (1 − p) Σv, whose first part is the sum of the
/// other elements.
#[inline(always)]
fn transpose<T: Real, I: Isa, const ROW: bool>(q: &mut [Lanes<T>], v: &[Lanes<T>]) -> Lanes<T> {
    let top = largest::<T, ROW>(q, probability);
    let own = at_largest::<T, ROW>(v, &top);
    let mut sums = Sums::new();
    let mut index = T::zero();
    for group in v {
        for at in 0..LANES {
            let skip = top.group[at] == index;
            sums.add(at, if skip { T::zero() } else { group[at] });
        }
        index += T::one();
    }
    let others = sums.finish::<ROW>();
    let mut total = others;
    for at in 0..LANES {
        total[at] = others[at] + own[at];
    }
    for (q, v) in q.iter_mut().zip(v) {
        for at in 0..LANES {
            let rest = if q[at].is_sign_negative() {
                others[at]
            } else {
                -v[at]
            };
            q[at] = q[at].fma::<I>(total[at], rest);
        }
    }
    total
}
