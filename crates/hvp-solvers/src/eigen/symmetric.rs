//! All eigenpairs of a small dense symmetric matrix, in place.
//!
//! Householder tridiagonalisation and the implicit QL method (Bowdler, Martin,
//! Reinsch & Wilkinson 1968, the EISPACK routines `tred2` and `tql2`). It serves the
//! projected matrices of Krylov methods: no allocation, no dependency, and
//! eigenvectors orthogonal to working accuracy.

use ad_core::Real;

/// Replaces the symmetric `n×n` matrix `a` (row-major) by its eigenvectors, one per
/// *column*, and writes the eigenvalues, ascending, to `d`; `e` is scratch of length `n`.
///
/// Costs about `9n³` flops. False if the iteration fails to converge, which takes
/// non-finite input; `a` and `d` are then of no use.
pub(crate) fn eigen_in_place<T: Real>(a: &mut [T], d: &mut [T], e: &mut [T]) -> bool {
    let n = d.len();
    debug_assert!(a.len() == n * n && e.len() == n);
    if n == 0 {
        return true;
    }
    tridiagonalise(a, d, e);
    if !implicit_ql(a, d, e) {
        return false;
    }
    sort_ascending(a, d);
    true
}

/// Eigenvalues of a symmetric tridiagonal matrix, ascending, and the first components of its
/// eigenvectors: the nodes and roots of the weights of a Gauss quadrature (Golub & Welsch 1969).
///
/// `d` holds the diagonal and `e[1..]` what is below it; `d` and `first` take the result. Costs
/// `O(n²)` flops. False as for [`eigen_in_place`].
pub(crate) fn golub_welsch<T: Real>(d: &mut [T], e: &mut [T], first: &mut [T]) -> bool {
    debug_assert!(e.len() == d.len() && first.len() == d.len() && !d.is_empty());
    first.fill(T::zero());
    first[0] = T::one();
    // Rotations act on columns: one row of the eigenvectors is as good as all.
    if !implicit_ql(first, d, e) {
        return false;
    }
    sort_ascending(first, d);
    true
}

/// Reduces `a` to tridiagonal form by Householder reflections and accumulates them in
/// `a`; the diagonal goes to `d`, the subdiagonal to `e[1..]`.
fn tridiagonalise<T: Real>(a: &mut [T], d: &mut [T], e: &mut [T]) {
    let n = d.len();
    let at = |i: usize, j: usize| i * n + j;
    d.copy_from_slice(&a[at(n - 1, 0)..]);
    for i in (1..n).rev() {
        let scale: T = d[..i].iter().map(|v| v.abs()).sum();
        let mut h = T::zero();
        if scale == T::zero() {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = a[at(i - 1, j)];
                a[at(i, j)] = T::zero();
                a[at(j, i)] = T::zero();
            }
        } else {
            for v in &mut d[..i] {
                *v /= scale;
                h += *v * *v;
            }
            let f = d[i - 1];
            let g = if f > T::zero() { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            reflect(a, d, e, i, h);
        }
        d[i] = h;
    }
    accumulate(a, d, n);
    e[0] = T::zero();
}

/// Applies the reflection held in `d[..i]` to the leading `i×i` block from both sides.
fn reflect<T: Real>(a: &mut [T], d: &mut [T], e: &mut [T], i: usize, h: T) {
    let n = d.len();
    let at = |i: usize, j: usize| i * n + j;
    e[..i].fill(T::zero());
    for j in 0..i {
        let f = d[j];
        a[at(j, i)] = f;
        let mut g = e[j] + a[at(j, j)] * f;
        for k in j + 1..i {
            g += a[at(k, j)] * d[k];
            e[k] += a[at(k, j)] * f;
        }
        e[j] = g;
    }
    let mut f = T::zero();
    for j in 0..i {
        e[j] /= h;
        f += e[j] * d[j];
    }
    let hh = f / (h + h);
    for j in 0..i {
        e[j] -= hh * d[j];
    }
    for j in 0..i {
        let (f, g) = (d[j], e[j]);
        for k in j..i {
            a[at(k, j)] -= f * e[k] + g * d[k];
        }
        d[j] = a[at(i - 1, j)];
        a[at(i, j)] = T::zero();
    }
}

/// Multiplies the reflections together into `a`; leaves the diagonal in `d`.
fn accumulate<T: Real>(a: &mut [T], d: &mut [T], n: usize) {
    let at = |i: usize, j: usize| i * n + j;
    for i in 0..n - 1 {
        a[at(n - 1, i)] = a[at(i, i)];
        a[at(i, i)] = T::one();
        let h = d[i + 1];
        if h != T::zero() {
            for k in 0..=i {
                d[k] = a[at(k, i + 1)] / h;
            }
            for j in 0..=i {
                let mut g = T::zero();
                for k in 0..=i {
                    g += a[at(k, i + 1)] * a[at(k, j)];
                }
                for k in 0..=i {
                    a[at(k, j)] -= g * d[k];
                }
            }
        }
        for k in 0..=i {
            a[at(k, i + 1)] = T::zero();
        }
    }
    for j in 0..n {
        d[j] = a[at(n - 1, j)];
        a[at(n - 1, j)] = T::zero();
    }
    a[at(n - 1, n - 1)] = T::one();
}

/// Diagonalises the tridiagonal matrix by QL steps with implicit shifts, rotating the
/// columns of `v` along.
fn implicit_ql<T: Real>(v: &mut [T], d: &mut [T], e: &mut [T]) -> bool {
    // Wilkinson's shift needs under two steps an eigenvalue; the limit is a guard.
    const MAX_STEPS: usize = 60;
    let n = d.len();
    e.rotate_left(1);
    e[n - 1] = T::zero();
    for l in 0..n {
        for step in 0.. {
            let m = (l..n - 1)
                .find(|&m| e[m].abs() <= T::epsilon() * (d[m].abs() + d[m + 1].abs()))
                .unwrap_or(n - 1);
            if m == l {
                break;
            }
            if step == MAX_STEPS {
                return false;
            }
            ql_step(v, d, e, l, m);
        }
    }
    d.iter().all(|d| d.is_finite())
}

/// One implicit QL step on the unreduced block `l..=m`.
fn ql_step<T: Real>(v: &mut [T], d: &mut [T], e: &mut [T], l: usize, m: usize) {
    let n = d.len();
    let two = T::of(2.0);
    let mut g = (d[l + 1] - d[l]) / (two * e[l]);
    let mut r = g.hypot(T::one());
    g = d[m] - d[l] + e[l] / (g + if g >= T::zero() { r } else { -r });
    let (mut s, mut c, mut p) = (T::one(), T::one(), T::zero());
    for i in (l..m).rev() {
        let f = s * e[i];
        let b = c * e[i];
        r = f.hypot(g);
        e[i + 1] = r;
        if r == T::zero() {
            // The block splits here: undo the shift and start over.
            d[i + 1] -= p;
            e[m] = T::zero();
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + two * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        for row in v.chunks_exact_mut(n) {
            let f = row[i + 1];
            row[i + 1] = s * row[i] + c * f;
            row[i] = c * row[i] - s * f;
        }
    }
    d[l] -= p;
    e[l] = g;
    e[m] = T::zero();
}

/// Selection sort: `n` swaps of columns at most.
fn sort_ascending<T: Real>(v: &mut [T], d: &mut [T]) {
    let n = d.len();
    for i in 0..n {
        let mut smallest = i;
        for j in i + 1..n {
            if d[j] < d[smallest] {
                smallest = j;
            }
        }
        if smallest != i {
            d.swap(i, smallest);
            for row in v.chunks_exact_mut(n) {
                row.swap(i, smallest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{fill_normal, generator};

    /// Largest entry of `|AV − VD|` and of `|VᵀV − I|`.
    fn defects(a: &[f64], v: &[f64], d: &[f64]) -> (f64, f64) {
        let n = d.len();
        let (mut residual, mut orthogonality) = (0.0_f64, 0.0_f64);
        for i in 0..n {
            for j in 0..n {
                let av: f64 = (0..n).map(|k| a[i * n + k] * v[k * n + j]).sum();
                residual = residual.max((av - v[i * n + j] * d[j]).abs());
                let vv: f64 = (0..n).map(|k| v[k * n + i] * v[k * n + j]).sum();
                orthogonality = orthogonality.max((vv - f64::from(u8::from(i == j))).abs());
            }
        }
        (residual, orthogonality)
    }

    fn check(a: &[f64], n: usize) -> Vec<f64> {
        let (mut v, mut d, mut e) = (a.to_vec(), vec![0.0; n], vec![0.0; n]);
        assert!(eigen_in_place(&mut v, &mut d, &mut e));
        let norm = a.iter().fold(0.0_f64, |m, x| m.max(x.abs())) * n as f64;
        let (residual, orthogonality) = defects(a, &v, &d);
        // Backward stable: errors of a modest multiple of n·eps·‖A‖.
        let tol = 8.0 * n as f64 * f64::EPSILON;
        assert!(residual <= tol * norm, "n = {n}: residual {residual:e}");
        assert!(
            orthogonality <= tol,
            "n = {n}: orthogonality {orthogonality:e}"
        );
        assert!(d.is_sorted());
        d
    }

    #[test]
    fn random_matrices_of_every_small_size() {
        let mut rng = generator(1);
        for n in 1..40 {
            let mut a = vec![0.0; n * n];
            fill_normal(&mut rng, &mut a);
            for i in 0..n {
                for j in 0..i {
                    a[i * n + j] = a[j * n + i];
                }
            }
            check(&a, n);
        }
    }

    #[test]
    fn closed_forms() {
        let n = 30;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            a[i * n + i] = 2.0;
            if i + 1 < n {
                a[i * n + i + 1] = -1.0;
                a[(i + 1) * n + i] = -1.0;
            }
        }
        for (k, lambda) in check(&a, n).iter().enumerate() {
            let angle = (k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64;
            let exact = 2.0 - 2.0 * angle.cos();
            assert!((lambda - exact).abs() < 4.0 * n as f64 * f64::EPSILON);
        }
        let identity: Vec<f64> = (0..n * n)
            .map(|k| f64::from(u8::from(k / n == k % n)))
            .collect();
        assert!(
            check(&identity, n)
                .iter()
                .all(|d| (d - 1.0).abs() < f64::EPSILON)
        );
        assert!(
            check(&vec![0.0; n * n], n)
                .iter()
                .all(|d| d.abs() < f64::EPSILON)
        );
    }

    #[test]
    fn gauss_nodes_and_weights() {
        // Gauss–Legendre: βₖ = k/√(4k² − 1); three nodes at 0 and ±√0.6 with 8/18 and 5/18.
        let (mut d, mut first) = (vec![0.0; 3], vec![0.0; 3]);
        let beta = |k: f64| k / (4.0 * k * k - 1.0).sqrt();
        let mut e = vec![0.0, beta(1.0), beta(2.0)];
        assert!(golub_welsch(&mut d, &mut e, &mut first));
        let nodes = [-0.6_f64.sqrt(), 0.0, 0.6_f64.sqrt()];
        let weights = [5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0];
        for k in 0..3 {
            assert!((d[k] - nodes[k]).abs() < 4.0 * f64::EPSILON);
            assert!((first[k] * first[k] - weights[k]).abs() < 4.0 * f64::EPSILON);
        }
        // The same as all eigenvectors give.
        let n = 40;
        let mut rng = generator(2);
        let mut random = vec![0.0_f64; 2 * n];
        fill_normal(&mut rng, &mut random);
        let (d0, e0) = random.split_at(n);
        let mut a = vec![0.0_f64; n * n];
        for i in 0..n {
            a[i * n + i] = d0[i];
            if i > 0 {
                a[i * n + i - 1] = e0[i];
                a[(i - 1) * n + i] = e0[i];
            }
        }
        let (mut values, mut scratch) = (vec![0.0_f64; n], vec![0.0; n]);
        assert!(eigen_in_place(&mut a, &mut values, &mut scratch));
        let (mut d, mut e, mut first) = (d0.to_vec(), e0.to_vec(), vec![0.0_f64; n]);
        assert!(golub_welsch(&mut d, &mut e, &mut first));
        for k in 0..n {
            assert!((d[k] - values[k]).abs() < 8.0 * n as f64 * f64::EPSILON);
            assert!((first[k].abs() - a[k].abs()).abs() < 1e-10);
        }
    }

    #[test]
    fn non_finite_input_ends() {
        let (mut d, mut e) = (vec![0.0; 3], vec![0.0; 3]);
        for bad in [f64::NAN, f64::INFINITY] {
            let mut a = vec![1.0, bad, 0.0, bad, 2.0, 1.0, 0.0, 1.0, 3.0];
            assert!(!eigen_in_place(&mut a, &mut d, &mut e));
        }
    }
}
