//! Problems of Moré, Garbow and Hillstrom, *Testing unconstrained optimization
//! software* (1981): f(x) = Σ rᵢ(x)², with the Jacobian written by hand.

use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};

/// The residuals and the rows of their Jacobian.
type Residuals = Vec<(f64, Vec<f64>)>;

#[derive(Clone)]
pub(crate) struct LeastSquares {
    pub(crate) name: &'static str,
    pub(crate) start: Vec<f64>,
    /// The least value, recomputed to 18 digits at high precision.
    pub(crate) minimum: f64,
    residuals: fn(&[f64]) -> Residuals,
    at: Array1<f64>,
}

impl LeastSquares {
    fn new(
        name: &'static str,
        start: &[f64],
        minimum: f64,
        residuals: fn(&[f64]) -> Residuals,
    ) -> Self {
        LeastSquares {
            name,
            start: start.to_vec(),
            minimum,
            residuals,
            at: Array1::zeros(start.len()),
        }
    }

    pub(crate) fn x0(&self) -> Array1<f64> {
        Array1::from(self.start.clone())
    }

    fn gradient(&self, x: ArrayView1<f64>) -> (f64, Array1<f64>) {
        let mut gradient = Array1::zeros(x.len());
        let mut value = 0.0;
        for (r, row) in (self.residuals)(&x.to_vec()) {
            value += r * r;
            Zip::from(&mut gradient)
                .and(&row[..])
                .for_each(|g, &j| *g += 2.0 * r * j);
        }
        (value, gradient)
    }
}

impl Objective<f64> for LeastSquares {
    fn dim(&self) -> usize {
        self.start.len()
    }

    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        (self.residuals)(&x.to_vec())
            .iter()
            .map(|(r, _)| r * r)
            .sum()
    }

    fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        let (value, gradient) = self.gradient(x);
        grad.assign(&gradient);
        value
    }
}

/// H = 2Σ(∇rᵢ∇rᵢᵀ + rᵢ∇²rᵢ), the first part exact and the second by central
/// differences of the rows of the Jacobian, good to about eps^(2/3).
impl SecondOrder<f64> for LeastSquares {
    fn linearize(&mut self, x: ArrayView1<f64>, grad: ArrayViewMut1<f64>) -> f64 {
        self.at.assign(&x);
        self.value_and_grad(x, grad)
    }

    fn hvp_into(&self, v: ArrayView1<f64>, mut out: ArrayViewMut1<f64>) {
        let x = self.at.to_vec();
        let rows = (self.residuals)(&x);
        out.fill(0.0);
        for (_, row) in &rows {
            let row = ArrayView1::from(row);
            out.scaled_add(2.0 * row.dot(&v), &row);
        }
        for (j, &weight) in v.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            let h = f64::EPSILON.cbrt() * x[j].abs().max(1e-6);
            let (mut above, mut below) = (x.clone(), x.clone());
            above[j] += h;
            below[j] -= h;
            let width = above[j] - below[j];
            let (above, below) = ((self.residuals)(&above), (self.residuals)(&below));
            for (((r, _), (_, above)), (_, below)) in rows.iter().zip(&above).zip(&below) {
                let factor = 2.0 * r * weight / width;
                Zip::from(&mut out)
                    .and(&above[..])
                    .and(&below[..])
                    .for_each(|out, a, b| {
                        *out += factor * (a - b);
                    });
            }
        }
    }

    fn hvp_block_into(&self, v: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
        Zip::from(v.rows())
            .and(out.rows_mut())
            .for_each(|v, out| self.hvp_into(v, out));
    }

    fn has_gauss_newton(&self) -> bool {
        false
    }

    fn ggnvp_into(&self, _v: ArrayView1<f64>, mut out: ArrayViewMut1<f64>) {
        out.fill(f64::NAN);
    }
}

pub(crate) fn rosenbrock() -> LeastSquares {
    LeastSquares::new("Rosenbrock", &[-1.2, 1.0], 0.0, |x| {
        vec![
            (10.0 * (x[1] - x[0] * x[0]), vec![-20.0 * x[0], 10.0]),
            (1.0 - x[0], vec![-1.0, 0.0]),
        ]
    })
}

fn freudenstein_roth() -> LeastSquares {
    LeastSquares::new(
        "Freudenstein and Roth",
        &[0.5, -2.0],
        48.984_253_679_240_02,
        |x| {
            let y = x[1];
            vec![
                (
                    -13.0 + x[0] + ((5.0 - y) * y - 2.0) * y,
                    vec![1.0, (10.0 - 3.0 * y) * y - 2.0],
                ),
                (
                    -29.0 + x[0] + ((y + 1.0) * y - 14.0) * y,
                    vec![1.0, (3.0 * y + 2.0) * y - 14.0],
                ),
            ]
        },
    )
}

fn powell_badly_scaled() -> LeastSquares {
    LeastSquares::new("Powell badly scaled", &[0.0, 1.0], 0.0, |x| {
        let (a, b) = ((-x[0]).exp(), (-x[1]).exp());
        vec![
            (1e4 * x[0] * x[1] - 1.0, vec![1e4 * x[1], 1e4 * x[0]]),
            (a + b - 1.0001, vec![-a, -b]),
        ]
    })
}

fn brown_badly_scaled() -> LeastSquares {
    LeastSquares::new("Brown badly scaled", &[1.0, 1.0], 0.0, |x| {
        vec![
            (x[0] - 1e6, vec![1.0, 0.0]),
            (x[1] - 2e-6, vec![0.0, 1.0]),
            (x[0] * x[1] - 2.0, vec![x[1], x[0]]),
        ]
    })
}

fn beale() -> LeastSquares {
    LeastSquares::new("Beale", &[1.0, 1.0], 0.0, |x| {
        let row = |i: i32, y: f64| {
            let power = x[1].powi(i);
            let slope = -f64::from(i) * x[0] * x[1].powi(i - 1);
            (y - x[0] * (1.0 - power), vec![power - 1.0, -slope])
        };
        vec![row(1, 1.5), row(2, 2.25), row(3, 2.625)]
    })
}

fn helical_valley() -> LeastSquares {
    LeastSquares::new("Helical valley", &[-1.0, 0.0, 0.0], 0.0, |x| {
        let turn = 2.0 * std::f64::consts::PI;
        let square = x[0] * x[0] + x[1] * x[1];
        let radius = square.sqrt();
        let theta = (x[1] / x[0]).atan() / turn + if x[0] < 0.0 { 0.5 } else { 0.0 };
        let angle = 100.0 / (turn * square);
        vec![
            (
                10.0 * (x[2] - 10.0 * theta),
                vec![angle * x[1], -angle * x[0], 10.0],
            ),
            (
                10.0 * (radius - 1.0),
                vec![10.0 * x[0] / radius, 10.0 * x[1] / radius, 0.0],
            ),
            (x[2], vec![0.0, 0.0, 1.0]),
        ]
    })
}

fn bard() -> LeastSquares {
    const Y: [f64; 15] = [
        0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39,
    ];
    LeastSquares::new("Bard", &[1.0; 3], 0.008_214_877_306_578_975, |x| {
        let row = |(i, y): (usize, &f64)| {
            let u = (i + 1) as f64;
            let v = 16.0 - u;
            let w = u.min(v);
            let d = v * x[1] + w * x[2];
            (
                y - (x[0] + u / d),
                vec![-1.0, u * v / (d * d), u * w / (d * d)],
            )
        };
        Y.iter().enumerate().map(row).collect()
    })
}

fn powell_singular() -> LeastSquares {
    LeastSquares::new("Powell singular", &[3.0, -1.0, 0.0, 1.0], 0.0, |x| {
        let (c, d) = (5.0_f64.sqrt(), 10.0_f64.sqrt());
        let (u, v) = (x[1] - 2.0 * x[2], x[0] - x[3]);
        vec![
            (x[0] + 10.0 * x[1], vec![1.0, 10.0, 0.0, 0.0]),
            (c * (x[2] - x[3]), vec![0.0, 0.0, c, -c]),
            (u * u, vec![0.0, 2.0 * u, -4.0 * u, 0.0]),
            (d * v * v, vec![2.0 * d * v, 0.0, 0.0, -2.0 * d * v]),
        ]
    })
}

fn wood() -> LeastSquares {
    LeastSquares::new("Wood", &[-3.0, -1.0, -3.0, -1.0], 0.0, |x| {
        let (a, b, c) = (90.0_f64.sqrt(), 10.0_f64.sqrt(), 0.1_f64.sqrt());
        vec![
            (
                10.0 * (x[1] - x[0] * x[0]),
                vec![-20.0 * x[0], 10.0, 0.0, 0.0],
            ),
            (1.0 - x[0], vec![-1.0, 0.0, 0.0, 0.0]),
            (a * (x[3] - x[2] * x[2]), vec![0.0, 0.0, -2.0 * a * x[2], a]),
            (1.0 - x[2], vec![0.0, 0.0, -1.0, 0.0]),
            (b * (x[1] + x[3] - 2.0), vec![0.0, b, 0.0, b]),
            (c * (x[1] - x[3]), vec![0.0, c, 0.0, -c]),
        ]
    })
}

fn kowalik_osborne() -> LeastSquares {
    const DATA: [(f64, f64); 11] = [
        (0.1957, 4.0),
        (0.1947, 2.0),
        (0.1735, 1.0),
        (0.1600, 0.5),
        (0.0844, 0.25),
        (0.0627, 0.167),
        (0.0456, 0.125),
        (0.0342, 0.1),
        (0.0323, 0.0833),
        (0.0235, 0.0714),
        (0.0246, 0.0625),
    ];
    let start = [0.25, 0.39, 0.415, 0.39];
    LeastSquares::new(
        "Kowalik and Osborne",
        &start,
        3.075_056_038_492_374e-4,
        |x| {
            let row = |&(y, u): &(f64, f64)| {
                let (top, bottom) = (u * u + u * x[1], u * u + u * x[2] + x[3]);
                let share = x[0] * top / (bottom * bottom);
                let jacobian = vec![-top / bottom, -x[0] * u / bottom, share * u, share];
                (y - x[0] * top / bottom, jacobian)
            };
            DATA.iter().map(row).collect()
        },
    )
}

fn brown_dennis() -> LeastSquares {
    LeastSquares::new(
        "Brown and Dennis",
        &[25.0, 5.0, -5.0, -1.0],
        85_822.201_626_356_34,
        |x| {
            let row = |i: i32| {
                let t = f64::from(i) / 5.0;
                let (a, b) = (x[0] + t * x[1] - t.exp(), x[2] + x[3] * t.sin() - t.cos());
                let jacobian = vec![2.0 * a, 2.0 * a * t, 2.0 * b, 2.0 * b * t.sin()];
                (a * a + b * b, jacobian)
            };
            (1..=20).map(row).collect()
        },
    )
}

fn variably_dimensioned() -> LeastSquares {
    let start: Vec<f64> = (1..=10).map(|j| 1.0 - f64::from(j) / 10.0).collect();
    LeastSquares::new("Variably dimensioned", &start, 0.0, |x| {
        let n = x.len();
        let unit = |i: usize| {
            (0..n)
                .map(|j| f64::from(u8::from(i == j)))
                .collect::<Vec<_>>()
        };
        let mut rows: Residuals = (0..n).map(|i| (x[i] - 1.0, unit(i))).collect();
        let weights: Vec<f64> = (0..n).map(|j| (j + 1) as f64).collect();
        let sum: f64 = weights.iter().zip(x).map(|(w, x)| w * (x - 1.0)).sum();
        rows.push((sum, weights.clone()));
        rows.push((sum * sum, weights.iter().map(|w| 2.0 * sum * w).collect()));
        rows
    })
}

pub(crate) fn all() -> Vec<LeastSquares> {
    vec![
        rosenbrock(),
        freudenstein_roth(),
        powell_badly_scaled(),
        brown_badly_scaled(),
        beale(),
        helical_valley(),
        bard(),
        powell_singular(),
        wood(),
        kowalik_osborne(),
        brown_dennis(),
        variably_dimensioned(),
    ]
}
