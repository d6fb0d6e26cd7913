//! Exchangeable estimators: every random vector is both sketch and probe.

use ad_core::Real;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::outcome::{Samples, TraceStop};
use super::sketch::{
    Qr, cholesky, finite, forward_solve, gram, products, qr, row, spheres, unit_inverse_rows,
};
use crate::operator::LinearOperator;
use crate::vector::{axpy, dot, norm2};

/// What the spread of exchangeable samples has to be multiplied with, to be the error.
const CALIBRATION: f64 = 1.6;

/// The same for Nyström's samples, which share most of their error where the spectrum
/// decays fast: found on `0.7ʲ`.
const NYSTROM_CALIBRATION: f64 = 4.0;

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
    let Qr { q, r, full_rank } = qr(&y, rng);
    let z = products(a, &q);
    if !finite(&z) {
        return Samples::non_finite(2 * k);
    }
    let h = gram(&q, &z);
    let trace: T = h.diag().iter().copied().sum();
    if !full_rank {
        // The random vectors fill the range of A, so that nothing is left outside.
        return Samples::exact(trace.as_f64(), 2 * k);
    }
    let w = gram(omega, &q); // row i: Qᵀωᵢ
    let t = gram(omega, &z); // row i: Zᵀωᵢ
    let s = unit_inverse_rows(&r);
    let hw = w.dot(&h); // row i: H wᵢ
    let hs = s.dot(&h);
    let values = (0..k).map(|i| {
        let (si, wi, ti) = (row(&s, i), row(&w, i), row(&t, i));
        let (hwi, hsi) = (row(&hw, i), row(&hs, i));
        let (sw, shs, tw, whw) = (dot(si, wi), dot(si, hsi), dot(ti, wi), dot(wi, hwi));
        let sr: T = (0..k).map(|j| si[j] * r[[j, i]]).sum();
        let s_r_hw = sr - dot(si, hwi);
        let t_hw_s = dot(ti, si) - dot(hwi, si);
        let off = T::of(n as f64) - dot(wi, wi) + sw * sw;
        let scale = T::of((n - k + 1) as f64) / off;
        let form = -tw + whw + sw * s_r_hw + sw * sw * shs + t_hw_s * sw;
        (trace - shs + scale * form).as_f64()
    });
    Samples {
        values: values.collect(),
        factor: CALIBRATION,
        n_products: 2 * k,
        stop: TraceStop::Estimated,
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
        return Samples::exact(0.0, k);
    }
    let forms: Vec<f64> = (0..k)
        .map(|i| dot(row(omega, i), row(&y, i)).as_f64())
        .collect();
    let nu = T::epsilon() * size / T::of((n as f64).sqrt());
    let room = y.as_slice_mut().unwrap_or(&mut []);
    axpy(nu, omega.as_slice().unwrap_or(&[]), room);
    let mut h = gram(omega, &y);
    h = (&h + &h.t()).mapv_into(|v| T::of(0.5) * v);
    let (Some(l), Some(o)) = (cholesky(h.view()), cholesky(gram(omega, omega).view())) else {
        return Samples {
            values: forms,
            factor: 1.0,
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
    let values = (0..k).map(|i| {
        let ui = row(&u, i);
        let uu = dot(ui, ui);
        let fu: T = (0..k).map(|j| ui[j] * dot(ui, row(&ff, j))).sum();
        let pp = dot(row(&p, i), row(&p, i));
        let outside = T::of((n - k + 1) as f64) * pp / uu;
        (whole - fu / uu + outside - nu * T::of(n as f64)).as_f64()
    });
    Samples {
        values: values.collect(),
        factor: NYSTROM_CALIBRATION,
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
