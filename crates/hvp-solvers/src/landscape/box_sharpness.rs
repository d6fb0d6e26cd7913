//! How much a function can rise within a small box.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::error::{Quantity, SolverError, check_finite, check_len, check_setting};
use crate::objective::Objective;
use crate::vector::{axpy, dot, norm2};

/// How [`box_sharpness`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BoxSharpnessStop {
    /// No single direction improves the offset any more, or the second sweep is over.
    Finished,
    /// `f(x)` itself is not finite: the sharpness is zero and means nothing.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

/// What [`box_sharpness`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxSharpness<T> {
    /// `100·(f(x + Az) − f(x))/(1 + |f(x)|)`, in per cent.
    pub percent: f64,
    /// The offset `z` in the directions.
    pub offset: Array1<T>,
    /// `f(x)`.
    pub at_point: T,
    /// `f(x + Az)`.
    pub at_offset: T,
    /// Values of `f` computed.
    pub n_values: usize,
    /// Among them not finite, and passed over.
    pub n_non_finite: usize,
    /// How it ended.
    pub stop: BoxSharpnessStop,
}

/// The `ε`-sharpness of Keskar et al. (2017), estimated in the span of a few directions.
///
/// For a matrix `A` with `p` orthonormal columns (here rows of `directions`, such as the top
/// eigenvectors of the Hessian) their measure is
///
/// `φ = 100·(max f(x + Az) − f(x))/(1 + f(x))` over `|zᵢ| ≤ ε(|(Aᵀx)ᵢ| + 1)`,
///
/// here with `|f(x)|` below the line. Where `f` is convex along the directions the maximum is at a
/// corner of the box. Two sweeps over the directions choose for each the better of both ends and
/// zero, the others held: what is returned is a value of `f` in the box, hence a lower bound of
/// `φ`. Costs at most `4p + 1` values of `f`.
///
/// ```
/// use hvp_solvers::landscape::box_sharpness;
/// use hvp_solvers::objective::Quadratic;
/// use ndarray::{array, Array1, Array2};
/// // At the minimum of ½xᵀHx, φ = 100·½ε²·tr H.
/// let mut f = Quadratic::new(array![[6.0, 0.0], [0.0, 2.0]], Array1::zeros(2))?;
/// let found = box_sharpness(&mut f, array![0.0, 0.0].view(), Array2::eye(2).view(), 1e-3)?;
/// assert!((found.percent - 4e-4_f64).abs() < 1e-15);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
///
/// # Errors
/// [`SolverError`] for vectors of the wrong length or not finite, directions that are not
/// orthonormal to `√eps`, and an `ε` that is not positive and finite.
pub fn box_sharpness<T, O>(
    objective: &mut O,
    x: ArrayView1<'_, T>,
    directions: ArrayView2<'_, T>,
    epsilon: f64,
) -> Result<BoxSharpness<T>, SolverError>
where
    T: Real,
    O: Objective<T> + ?Sized,
{
    let n = objective.dim();
    check_len("x", x.len(), n)?;
    check_finite("x", x)?;
    check_len("a direction", directions.ncols(), n)?;
    let positive = epsilon > 0.0 && epsilon.is_finite();
    check_setting("epsilon", epsilon, positive, "positive and finite")?;
    let rows: Vec<Vec<T>> = directions
        .rows()
        .into_iter()
        .map(|row| row.to_vec())
        .collect();
    check_orthonormal(&rows)?;
    let x = x.to_vec();
    let reach: Vec<T> = rows
        .iter()
        .map(|u| T::of(epsilon) * (dot(u, &x).abs() + T::one()))
        .collect();
    let mut search = Search {
        objective,
        point: x,
        n_values: 0,
        n_non_finite: 0,
    };
    let at_point = search.value();
    let mut found = BoxSharpness {
        percent: 0.0,
        offset: Array1::zeros(rows.len()),
        at_point,
        at_offset: at_point,
        n_values: 1,
        n_non_finite: 0,
        stop: BoxSharpnessStop::Finished,
    };
    if !at_point.is_finite() {
        (found.at_point, found.at_offset) = (T::zero(), T::zero());
        found.n_non_finite = 1;
        found.stop = BoxSharpnessStop::NonFinite {
            what: Quantity::Value,
        };
        return Ok(found);
    }
    let mut z = vec![T::zero(); rows.len()];
    let mut best = at_point;
    for _sweep in 0..2 {
        let before = z.clone();
        for (i, u) in rows.iter().enumerate() {
            best = search.improve(u, &mut z[i], reach[i], best);
        }
        if z == before {
            break;
        }
    }
    let rise = (best - at_point).as_f64();
    found.percent = 100.0 * rise / (1.0 + at_point.as_f64().abs());
    found.offset = Array1::from_vec(z);
    found.at_offset = best;
    found.n_values = search.n_values;
    found.n_non_finite = search.n_non_finite;
    Ok(found)
}

/// `uᵢᵀuⱼ = δᵢⱼ` to `√eps`; a NaN fails too.
fn check_orthonormal<T: Real>(rows: &[Vec<T>]) -> Result<(), SolverError> {
    let tol = T::epsilon().sqrt().as_f64();
    for i in 0..rows.len() {
        let length = norm2(&rows[i]).as_f64();
        let unit = (length - 1.0).abs() <= tol;
        check_setting("norm of a direction", length, unit, "1")?;
        for j in 0..i {
            let product = dot(&rows[i], &rows[j]).as_f64();
            let right = product.abs() <= tol;
            check_setting("inner product of two directions", product, right, "0")?;
        }
    }
    Ok(())
}

/// The moving point and the count of values.
struct Search<'a, T, O: ?Sized> {
    objective: &'a mut O,
    point: Vec<T>,
    n_values: usize,
    n_non_finite: usize,
}

impl<T: Real, O: Objective<T> + ?Sized> Search<'_, T, O> {
    fn value(&mut self) -> T {
        self.n_values += 1;
        let value = self.objective.value(ArrayView1::from(&self.point));
        if !value.is_finite() {
            self.n_non_finite += 1;
        }
        value
    }

    /// Moves `z` along `u` to the better of both ends, if one is better; returns the best value.
    fn improve(&mut self, u: &[T], z: &mut T, reach: T, best: T) -> T {
        let mut best = best;
        let mut here = *z;
        for end in [reach, -reach] {
            if end == *z {
                continue;
            }
            axpy(end - here, u, &mut self.point);
            here = end;
            let value = self.value();
            if value.is_finite() && value > best {
                best = value;
                *z = end;
            }
        }
        axpy(*z - here, u, &mut self.point);
        best
    }
}
