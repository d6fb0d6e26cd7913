//! Exchangeable estimators: every random vector is both sketch and probe.

use ad_core::Real;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::outcome::{Samples, TraceStop, rounding, student_95};
use super::sketch::{
    Qr, cholesky, finite, forward_solve, gram, products, qr, row, spheres, unit_inverse_rows,
};
use crate::operator::LinearOperator;
use crate::vector::{axpy, dot, norm2};

/// `XTrace` with `k` random vectors, `2k` products.
pub(super) fn xtrace<T, A>(a: &A, k: usize, rng: &mut ChaCha8Rng) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let omega = spheres::<T>(k, a.dim(), rng);
    xtrace_from(a, &omega, rng)
}

/// Sample `i` is the trace on the range of `AΩ₋ᵢ`, where `ωᵢ` is left out, and the
/// quadratic form of `ωᵢ` off that range:
///
/// `tr Q₋ᵢᵀAQ₋ᵢ + (n−k+1)/‖Pωᵢ‖² · ωᵢᵀP A Pωᵢ`,   `P = I − Q₋ᵢQ₋ᵢᵀ = I − Q(I − sᵢsᵢᵀ)Qᵀ`.
fn xtrace_from<T, A>(a: &A, omega: &Array2<T>, rng: &mut ChaCha8Rng) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let (k, n) = omega.dim();
    let y = products(a, omega);
    if !finite(&y) {
        return Samples::non_finite(k);
    }
    let Qr { q, r, random } = qr(&y, rng);
    let z = products(a, &q);
    if !finite(&z) {
        return Samples::non_finite(2 * k);
    }
    let h = gram(&q, &z);
    let trace: T = h.diag().iter().copied().sum();
    if !random.is_empty() {
        let forms: Vec<f64> = h.diag().iter().map(|v| v.as_f64()).collect();
        return beyond_range::<T>(n, &forms, &random, 2 * k);
    }
    let s = unit_inverse_rows(&r);
    let w = gram(omega, &q); // row i: Qᵀωᵢ
    let t = gram(omega, &z); // row i: Zᵀωᵢ
    let (hs, hw) = (s.dot(&h), w.dot(&h));
    let rows = |x: &Array2<T>, y: &Array2<T>| (0..k).map(|i| dot(row(x, i), row(y, i))).collect();
    let forms = Forms {
        n,
        trace,
        ss: gram(&s, &s),
        shs: gram(&s, &hs),
        sw: gram(&s, &w),
        st: gram(&s, &t),
        shw: gram(&s, &hw),
        sr: (0..k)
            .map(|i| dot(row(&s, i), &r.column(i).to_vec()))
            .collect(),
        tw: rows(&t, &w),
        whw: rows(&w, &hw),
        ww: rows(&w, &w),
    };
    let size = h.diag().iter().map(|v| v.abs().as_f64()).sum();
    Samples {
        values: (0..k).map(|i| forms.sample(i, None)).collect(),
        left_out: leave_out(k, |i, j| forms.sample(j, Some(i))),
        rounding: rounding::<T>(k, size),
        n_products: 2 * k,
        stop: TraceStop::Estimated,
    }
}

/// The estimate where the random vectors fill the range of `A` to working accuracy, from the
/// quadratic forms of the rows of `Q`. Those with the numbers `random` are uniformly distributed in
/// what is orthogonal to the range that was found, so that `n − rank` times each is an estimate of
/// the trace there: that of an operator's many small eigenvalues, which are below `eps` of the
/// largest but may add up. What is left of an exactly low rank is rounding, of either sign.
fn beyond_range<T: Real>(n: usize, forms: &[f64], random: &[usize], n_products: usize) -> Samples {
    let rank = forms.len() - random.len();
    let size: f64 = forms.iter().map(|form| form.abs()).sum();
    let beyond: Vec<f64> = random.iter().map(|&i| forms[i]).collect();
    let inside = forms.iter().sum::<f64>() - beyond.iter().sum::<f64>();
    let dim = (n - rank) as f64;
    let values: Vec<f64> = beyond.iter().map(|form| inside + dim * form).collect();
    // A product is off by about eps·‖A‖ in a random direction, and its forms by 1/√n of that.
    let noise = 10.0 * dim.sqrt() * T::epsilon().as_f64() * size;
    let most = beyond
        .iter()
        .fold(0.0, |most: f64, form| most.max(form.abs()));
    let low_rank = dim * most <= noise;
    let mut rounding = rounding::<T>(forms.len(), size).max(noise);
    if values.len() == 1 {
        // One sample says nothing about its own error.
        rounding += student_95(1.0) * dim * most;
    }
    Samples {
        values,
        left_out: Vec::new(),
        rounding,
        n_products,
        stop: if low_rank {
            TraceStop::Exact
        } else {
            TraceStop::Estimated
        },
    }
}

/// The estimates from all random vectors but `i`: means over `j ≠ i` of `sample(i, j)`.
fn leave_out(k: usize, sample: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let others = |i| (0..k).filter(move |&j| j != i);
    let mean = |i| others(i).map(|j| sample(i, j)).sum::<f64>() / (k as f64 - 1.0);
    (0..k).map(mean).collect()
}

/// Bilinear forms of the small vectors `sᵢ`, `wᵢ = Qᵀωᵢ`, `tᵢ = Zᵀωᵢ` with `I` and `H = QᵀAQ`.
struct Forms<T> {
    n: usize,
    trace: T,
    ss: Array2<T>,
    shs: Array2<T>,
    sw: Array2<T>,
    st: Array2<T>,
    shw: Array2<T>,
    /// `sᵢᵀrᵢ` with column `i` of `R`, where `AΩ = QR`; `sᵢᵀrⱼ = 0` for `i ≠ j`.
    sr: Vec<T>,
    tw: Vec<T>,
    whw: Vec<T>,
    ww: Vec<T>,
}

impl<T: Real> Forms<T> {
    /// Sample `j` of the estimate from all vectors, or from all but `without`. Then the
    /// range loses `sᵢ` and the part `s = (sⱼ − c sᵢ)/m` of `sⱼ` orthogonal to it, with
    /// `c = sᵢᵀsⱼ`, `m² = 1 − c²`. With `a = sᵢᵀw`, `b = sᵀw`, `w' = w − a sᵢ − b s`:
    ///
    /// `ωᵀPAPω = (w − w')ᵀr − tᵀw' + w'ᵀHw'`.
    fn sample(&self, j: usize, without: Option<usize>) -> f64 {
        let zero = T::zero();
        let two = T::of(2.0);
        let (c, a, st_i, shw_i, h_ii, h_ij) =
            without.map_or((zero, zero, zero, zero, zero, zero), |i| {
                (
                    self.ss[[i, j]],
                    self.sw[[i, j]],
                    self.st[[i, j]],
                    self.shw[[i, j]],
                    self.shs[[i, i]],
                    self.shs[[i, j]],
                )
            });
        // Below eps the square is rounding, and so is what it divides.
        let m = (T::one() - c * c).max(T::epsilon()).sqrt();
        let across = |at_j: T, at_i: T| (at_j - c * at_i) / m;
        let b = across(self.sw[[j, j]], a);
        let st = across(self.st[[j, j]], st_i);
        let shw = across(self.shw[[j, j]], shw_i);
        let h_is = across(h_ij, h_ii);
        let h_ss = across(across(self.shs[[j, j]], h_ij), h_is);
        let tw = self.tw[j] - a * st_i - b * st;
        let inner = self.whw[j] - two * (a * shw_i + b * shw);
        let whw = inner + a * a * h_ii + two * a * b * h_is + b * b * h_ss;
        let form = b * self.sr[j] / m - tw + whw;
        let left = self.sr.len() - usize::from(without.is_some());
        let off = T::of(self.n as f64) - self.ww[j] + a * a + b * b;
        let scale = T::of((self.n - left + 1) as f64) / off;
        (self.trace - h_ii - h_ss + scale * form).as_f64()
    }
}

/// `XNysTrace` with `k` random vectors and products.
pub(super) fn xnystrace<T, A>(a: &A, k: usize, rng: &mut ChaCha8Rng) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let omega = spheres::<T>(k, a.dim(), rng);
    xnystrace_from(a, &omega)
}

/// With `Y = (A + νI)Ω`, `H = ΩᵀY = LLᵀ`, Nyström's approximation is `YH⁻¹Yᵀ = FᵀF`,
/// `F = L⁻¹Yᵀ`. Leaving out `ωᵢ` takes the rank-one part `Fᵀuuᵀ F/‖u‖²`, `u = L⁻¹eᵢ`,
/// away from it, and `ωᵢᵀ(A − A₋ᵢ)ωᵢ = 1/(H⁻¹)ᵢᵢ = 1/‖u‖²`. Likewise the part of `ωᵢ` outside the
/// span of the others has the squared length `1/((ΩᵀΩ)⁻¹)ᵢᵢ`. So sample `i` is
///
/// `‖F‖² − ‖Fᵀu‖²/‖u‖² + (n−k+1)((ΩᵀΩ)⁻¹)ᵢᵢ/‖u‖² − νn`.
fn xnystrace_from<T, A>(a: &A, omega: &Array2<T>) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let (k, n) = omega.dim();
    let mut y = products(a, omega);
    let size = norm2(y.as_slice().unwrap_or(&[]));
    if !finite(&y) || !size.is_finite() {
        return Samples::non_finite(k);
    }
    if size == T::zero() {
        return Samples::exact(0.0, 0.0, k);
    }
    let forms: Vec<f64> = (0..k)
        .map(|i| dot(row(omega, i), row(&y, i)).as_f64())
        .collect();
    let largest = forms.iter().fold(0.0, |top: f64, form| top.max(form.abs()));
    let nu = T::epsilon() * size / T::of((n as f64).sqrt());
    let room = y.as_slice_mut().unwrap_or(&mut []);
    axpy(nu, omega.as_slice().unwrap_or(&[]), room);
    let mut h = gram(omega, &y);
    h = (&h + &h.t()).mapv_into(|v| T::of(0.5) * v);
    let (Some(l), Some(o)) = (cholesky(h.view()), cholesky(gram(omega, omega).view())) else {
        return Samples {
            rounding: rounding::<T>(1, largest),
            values: forms,
            left_out: Vec::new(),
            n_products: k,
            stop: TraceStop::NotPositiveSemidefinite,
        };
    };
    forward_solve(&l, &mut y);
    let f = y;
    let ff = gram(&f, &f);
    let whole: T = ff.diag().iter().copied().sum();
    let (mut u, mut p) = (Array2::eye(k), Array2::eye(k));
    forward_solve(&l, &mut u); // column i: L⁻¹eᵢ
    forward_solve(&o, &mut p);
    let (u, p) = (transposed(&u), transposed(&p));
    let (uu, pp, uffu) = (gram(&u, &u), gram(&p, &p), gram(&u.dot(&ff), &u));
    let rest = |left: usize, p: T, u: T| T::of((n - left + 1) as f64) * p / u;
    let shift = nu * T::of(n as f64);
    let value = |i: usize| {
        let taken = uffu[[i, i]] / uu[[i, i]];
        (whole - taken + rest(k, pp[[i, i]], uu[[i, i]]) - shift).as_f64()
    };
    // Without ωᵢ: uⱼ loses its part along uᵢ, and pⱼ along pᵢ.
    let value_without = |i: usize, j: usize| {
        let share = uu[[i, j]] / uu[[i, i]];
        let floor = T::epsilon() * uu[[j, j]];
        let u = (uu[[j, j]] - share * uu[[i, j]]).max(floor);
        let p = pp[[j, j]] - pp[[i, j]] / pp[[i, i]] * pp[[i, j]];
        let fu = uffu[[j, j]] - share * (T::of(2.0) * uffu[[i, j]] - share * uffu[[i, i]]);
        let taken = uffu[[i, i]] / uu[[i, i]] + fu / u;
        (whole - taken + rest(k - 1, p, u) - shift).as_f64()
    };
    Samples {
        values: (0..k).map(value).collect(),
        left_out: leave_out(k, value_without),
        rounding: rounding::<T>(k, largest.max(whole.as_f64())),
        n_products: k,
        stop: TraceStop::Estimated,
    }
}

fn transposed<T: Real>(x: &Array2<T>) -> Array2<T> {
    x.t().as_standard_layout().into_owned()
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
