//! Every linear solver on every awkward system: the right answer or a typed ending, never a NaN
//! and never a hang. One list of solvers, one list of systems.

use std::cell::Cell;

use hvp_solvers::linear::{
    BlockCg, Cg, CgStop, DiagonalPreconditioner, Gltr, GltrStop, Identity, Lsmr, LsmrStop, Minres,
    MinresStop, MultiShiftCg, Preconditioner, TruncatedCg, TruncatedStop,
};
use hvp_solvers::operator::{
    Counted, DenseOperator, DenseRectangular, DiagonalOperator, RectangularOperator,
};
use hvp_solvers::{LinearOperator, Quantity};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, Axis, stack};
use proptest::prelude::*;

use crate::kit::{EPS, Fault, FaultyOperator, norm, normal, orthogonal, product};

/// What a solver says of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Solved,
    /// No solution exists; this is the one of least squares.
    LeastSquares,
    NonFinite(Quantity),
    /// Any other ending.
    GaveUp,
}

struct Answer {
    x: Array1<f64>,
    claim: Claim,
    /// For messages.
    ending: String,
}

fn answer(x: Array1<f64>, claim: Claim, ending: &dyn std::fmt::Debug) -> Answer {
    let ending = format!("{ending:?}");
    Answer { x, claim, ending }
}

/// From an operator, a right-hand side, and a radius well beyond the solution for those who
/// minimise in a ball.
type Solve = fn(&dyn LinearOperator<f64>, &Array1<f64>, f64) -> Answer;
type SolveFrom = fn(&dyn LinearOperator<f64>, &Array1<f64>, &Array1<f64>) -> Answer;

struct Solver {
    name: &'static str,
    solve: Solve,
    /// From a start, where the solver takes one.
    from: Option<SolveFrom>,
    /// Whether it is made for indefinite operators, and for systems without solution.
    any_inertia: bool,
}

fn of_cg(stop: CgStop) -> Claim {
    match stop {
        CgStop::Converged => Claim::Solved,
        CgStop::NonFinite { what } => Claim::NonFinite(what),
        _ => Claim::GaveUp,
    }
}

fn of_minres(stop: MinresStop) -> Claim {
    match stop {
        MinresStop::Converged => Claim::Solved,
        MinresStop::LeastSquares => Claim::LeastSquares,
        MinresStop::NonFinite { what } => Claim::NonFinite(what),
        _ => Claim::GaveUp,
    }
}

/// A symmetric operator as a rectangular one.
struct Square<'a>(&'a dyn LinearOperator<f64>);

impl RectangularOperator<f64> for Square<'_> {
    fn nrows(&self) -> usize {
        self.0.dim()
    }
    fn ncols(&self) -> usize {
        self.0.dim()
    }
    fn apply_into(&self, v: ArrayView1<'_, f64>, y: ArrayViewMut1<'_, f64>) {
        self.0.apply_into(v, y);
    }
    fn apply_transposed_into(&self, u: ArrayView1<'_, f64>, y: ArrayViewMut1<'_, f64>) {
        self.0.apply_into(u, y);
    }
}

/// Three right-hand sides, the second one double the first, the third one backwards.
fn three(b: &Array1<f64>) -> Array2<f64> {
    let (double, mut back) = (b * 2.0, b.clone());
    back.invert_axis(Axis(0));
    stack![Axis(0), *b, double, back]
}

const SOLVERS: [Solver; 7] = [
    Solver {
        name: "Cg",
        solve: |a, b, _| {
            let found = Cg::default().solve(a, b.view()).unwrap();
            answer(found.x, of_cg(found.stop), &(found.stop, found.stats))
        },
        from: Some(|a, b, x0| {
            let found = Cg::default().solve_with(a, b.view(), Some(x0.view()), &Identity);
            let found = found.unwrap();
            answer(found.x, of_cg(found.stop), &(found.stop, found.stats))
        }),
        any_inertia: false,
    },
    Solver {
        name: "BlockCg",
        solve: |a, b, _| {
            let found = BlockCg::default().solve(a, three(b).view()).unwrap();
            assert!(found.x.iter().all(|x| x.is_finite()));
            let claims: Vec<Claim> = found.systems.iter().map(|s| of_cg(s.stop)).collect();
            // The worst of the three; the other two have to keep what they say.
            let worst = claims
                .iter()
                .copied()
                .find(|c| matches!(c, Claim::NonFinite(_)));
            let worst = worst.or(claims.iter().copied().find(|c| *c == Claim::GaveUp));
            answer(
                found.x.row(0).to_owned(),
                worst.unwrap_or(Claim::Solved),
                &found.systems,
            )
        },
        from: Some(|a, b, x0| {
            let (b, x0) = (
                b.view().insert_axis(Axis(0)),
                x0.view().insert_axis(Axis(0)),
            );
            let found = BlockCg::default()
                .solve_with(a, b, Some(x0), &Identity)
                .unwrap();
            answer(
                found.x.row(0).to_owned(),
                of_cg(found.systems[0].stop),
                &found.systems,
            )
        }),
        any_inertia: false,
    },
    Solver {
        name: "MultiShiftCg",
        solve: |a, b, _| {
            let found = MultiShiftCg::default().solve(a, b.view(), &[0.0]).unwrap();
            answer(
                found.x.row(0).to_owned(),
                of_cg(found.systems[0].stop),
                &found.systems,
            )
        },
        from: None,
        any_inertia: false,
    },
    Solver {
        name: "Minres",
        solve: |a, b, _| {
            let found = Minres::default().solve(a, b.view()).unwrap();
            answer(found.x, of_minres(found.stop), &(found.stop, found.stats))
        },
        from: Some(|a, b, x0| {
            let found = Minres::default().solve_with(a, b.view(), Some(x0.view()), &Identity);
            let found = found.unwrap();
            answer(found.x, of_minres(found.stop), &(found.stop, found.stats))
        }),
        any_inertia: true,
    },
    Solver {
        name: "Lsmr",
        solve: |a, b, _| {
            let found = Lsmr::default().solve(&Square(a), b.view()).unwrap();
            let claim = match found.stop {
                LsmrStop::Converged => Claim::Solved,
                LsmrStop::LeastSquares => Claim::LeastSquares,
                LsmrStop::NonFinite { what } => Claim::NonFinite(what),
                _ => Claim::GaveUp,
            };
            answer(found.x, claim, &(found.stop, found.stats))
        },
        from: None,
        any_inertia: true,
    },
    Solver {
        name: "TruncatedCg",
        solve: |a, b, radius| {
            let config = TruncatedCg {
                relative_tolerance: 1e-10,
                max_iters: Some(10 * b.len() + 10),
                ..TruncatedCg::default()
            };
            let found = config.solve(a, (-b).view(), radius).unwrap();
            let claim = match found.outcome.stop {
                TruncatedStop::Converged => Claim::Solved,
                TruncatedStop::NonFinite { what } => Claim::NonFinite(what),
                _ => Claim::GaveUp,
            };
            answer(found.step, claim, &found.outcome)
        },
        from: None,
        any_inertia: false,
    },
    Solver {
        name: "Gltr",
        solve: |a, b, radius| {
            let config = Gltr {
                relative_tolerance: 1e-10,
                ..Gltr::default()
            };
            let found = config.solve(a, (-b).view(), radius).unwrap();
            let claim = match found.outcome.stop {
                GltrStop::Converged if found.outcome.lambda == 0.0 => Claim::Solved,
                GltrStop::NonFinite { what } => Claim::NonFinite(what),
                _ => Claim::GaveUp,
            };
            answer(found.step, claim, &found.outcome)
        },
        from: None,
        any_inertia: false,
    },
];

/// `A = Q diag(spectrum) Qᵀ · scale` and a right-hand side.
struct System {
    name: String,
    spectrum: Array1<f64>,
    q: Array2<f64>,
    a: DenseOperator<f64>,
    b: Array1<f64>,
}

impl System {
    /// `b` is `A z` for a random `z`, or random itself; its norm about `b_scale`.
    fn new(
        name: &str,
        spectrum: Array1<f64>,
        scales: (f64, f64),
        consistent: bool,
        seed: u64,
    ) -> Self {
        let n = spectrum.len();
        let q = orthogonal(n, seed);
        let spectrum = spectrum * scales.0;
        let mut a = (&q * &spectrum).dot(&q.t());
        for i in 0..n {
            for j in 0..i {
                a[[i, j]] = a[[j, i]];
            }
        }
        let a = DenseOperator::new(a).unwrap();
        let b = normal(n, seed + 77);
        let b = if consistent {
            product(&a, b.view()) / scales.0
        } else {
            b
        };
        let name = format!("{name}, {n}, scales {scales:?}, consistent {consistent}");
        Self {
            name,
            spectrum,
            q,
            a,
            b: b * scales.1,
        }
    }

    /// Largest and smallest nonzero magnitude.
    fn extremes(&self) -> (f64, f64) {
        let sizes = self.spectrum.iter().map(|l| l.abs());
        let low = sizes
            .clone()
            .filter(|&l| l > 0.0)
            .fold(f64::INFINITY, f64::min);
        (sizes.fold(0.0, f64::max), low)
    }

    fn condition(&self) -> f64 {
        let (top, low) = self.extremes();
        if top > 0.0 { top / low } else { 1.0 }
    }

    fn is_definite(&self) -> bool {
        self.spectrum.iter().all(|&l| l > 0.0)
    }

    fn is_semidefinite(&self) -> bool {
        self.spectrum.iter().all(|&l| l >= 0.0)
    }

    fn is_singular(&self) -> bool {
        self.spectrum.iter().any(|&l| l == 0.0)
    }

    /// The solution of least length, in least squares.
    fn solution(&self) -> Array1<f64> {
        let inverse = |l: f64| if l == 0.0 { 0.0 } else { l.recip() };
        let coordinates = self.q.t().dot(&self.b);
        self.q.dot(&(coordinates * self.spectrum.mapv(inverse)))
    }

    /// A hundred times what the longest solution can be, within the type's range.
    fn radius(&self) -> f64 {
        let (top, low) = self.extremes();
        let reach = 100.0 * norm(self.b.view()) / low;
        if top > 0.0 && reach > 0.0 {
            reach.min(1e306)
        } else {
            1.0
        }
    }

    /// Runs a solver and holds what it says against the truth; what is wrong with it.
    fn check(&self, solver: &Solver) -> Option<String> {
        let found = (solver.solve)(&self.a, &self.b, self.radius());
        let wrong = self.judge(solver, &found)?;
        Some(format!(
            "{} on {}: {wrong}: {}",
            solver.name, self.name, found.ending
        ))
    }

    fn judge(&self, solver: &Solver, found: &Answer) -> Option<String> {
        if !found.x.iter().all(|x| x.is_finite()) {
            return Some("an answer that is not finite".into());
        }
        let n = self.b.len() as f64;
        let b_norm = norm(self.b.view());
        let r = &self.b - &product(&self.a, found.x.view());
        let (top, low) = self.extremes();
        let (residual, reach) = (norm(r.view()), b_norm + top * norm(found.x.view()));
        // Products are rounded to this.
        let noise = 8.0 * n * EPS * reach;
        let must = self.is_due(solver);
        match found.claim {
            Claim::Solved => {
                // LSMR's tolerance is in units of the reach.
                let tol = if solver.name == "Lsmr" {
                    2e-10 * reach
                } else {
                    1.001e-10 * b_norm
                };
                if residual > tol + noise {
                    return Some(format!("a residual of {residual:e}"));
                }
                // The error is A⁺ times the residual, and what rounding leaves in the null
                // space, which no product sees.
                // A minimiser in a ball need not be the shortest one.
                if solver.name == "Gltr" && self.is_singular() {
                    return None;
                }
                let off = norm((&found.x - &self.solution()).view());
                let bound = 1.1 * (tol + 10.0 * noise) / low;
                (off > bound).then(|| format!("off by {off:e} > {bound:e}"))
            }
            Claim::LeastSquares => {
                let normal = norm(product(&self.a, r.view()).view()) / top;
                // MINRES stops at 1e-8, and verifies it within a factor of two.
                let wrong = normal > 2e-8 * residual + noise || !solver.any_inertia;
                wrong.then(|| format!("a normal residual of {normal:e}, residual {residual:e}"))
            }
            Claim::NonFinite(what) => {
                // Only where the solution or the model's value there leave the type's range.
                let far = b_norm / low.min(top);
                let beyond = far > 1e290 || far * b_norm > 1e290;
                (what != Quantity::Point || !beyond).then(|| "all was finite".into())
            }
            Claim::GaveUp => must.then(|| "gave up".into()),
        }
    }

    /// Whether this solver has to solve this system, up to conditions that leave no excuse.
    fn is_due(&self, solver: &Solver) -> bool {
        let kappa = self.condition();
        match solver.name {
            "Minres" | "Lsmr" => kappa <= 1e3,
            _ if self.is_definite() => kappa <= 1e6,
            _ => false,
        }
    }
}

fn logarithmic(n: usize, from: f64) -> Array1<f64> {
    Array1::from_shape_fn(n, |i| {
        10.0_f64.powf(from * i as f64 / (n.max(2) - 1) as f64)
    })
}

/// Shapes of spectra, by name.
fn spectra(n: usize) -> Vec<(&'static str, Array1<f64>)> {
    let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    let alternating = |from: f64| {
        let mut spectrum = logarithmic(n, from);
        spectrum.indexed_iter_mut().for_each(|(i, l)| *l *= sign(i));
        spectrum
    };
    let without = |mut spectrum: Array1<f64>| {
        (0..n).step_by(3).for_each(|i| spectrum[i] = 0.0);
        spectrum
    };
    vec![
        ("identity", Array1::ones(n)),
        ("zero", Array1::zeros(n)),
        ("negative", -Array1::<f64>::ones(n)),
        ("condition 1e2", logarithmic(n, -2.0)),
        ("condition 1e6", logarithmic(n, -6.0)),
        ("condition 1e10", logarithmic(n, -10.0)),
        ("condition 1e14", logarithmic(n, -14.0)),
        (
            "three values",
            Array1::from_shape_fn(n, |i| [1.0, 5.0, 50.0][i % 3]),
        ),
        (
            "pairs ±",
            Array1::from_shape_fn(n, |i| sign(i) * (1 + i / 2) as f64),
        ),
        ("indefinite 1e2", alternating(-2.0)),
        ("indefinite 1e14", alternating(-14.0)),
        ("semidefinite", without(Array1::linspace(1.0, 20.0, n))),
        ("semidefinite 1e10", without(logarithmic(n, -10.0))),
        ("singular", without(alternating(-1.0))),
    ]
}

const SCALES: [(f64, f64); 7] = [
    (1.0, 1.0),
    (1e150, 1.0),
    (1e-150, 1.0),
    (1.0, 1e150),
    (1.0, 1e-150),
    (1e150, 1e150),
    (1e-150, 1e150),
];

fn systems() -> impl Iterator<Item = System> {
    [0_usize, 1, 2, 3, 24].into_iter().flat_map(|n| {
        spectra(n).into_iter().flat_map(move |(name, spectrum)| {
            SCALES.into_iter().flat_map(move |scales| {
                let spectrum = spectrum.clone();
                [true, false].into_iter().map(move |consistent| {
                    System::new(name, spectrum.clone(), scales, consistent, n as u64 + 1)
                })
            })
        })
    })
}

#[test]
fn right_answers_or_typed_endings() {
    let all = systems().flat_map(|system| SOLVERS.map(|solver| system.check(&solver)));
    let wrong: Vec<String> = all.flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn nothing_to_do_costs_nothing() {
    for system in systems() {
        let zero = Array1::zeros(system.b.len());
        // Without a gradient GLTR still has to look for negative curvature, which is its own test.
        for solver in SOLVERS
            .iter()
            .filter(|s| !s.name.to_lowercase().contains("gltr"))
        {
            let a = Counted::new(&system.a);
            let found = (solver.solve)(&a, &zero, 1.0);
            assert_eq!(
                found.claim,
                Claim::Solved,
                "{} on {}",
                solver.name,
                system.name
            );
            assert_eq!((a.count(), &found.x), (0, &zero), "{}", solver.name);
        }
    }
}

#[test]
fn an_exact_start_costs_one_product() {
    for (n, exponent) in [(0, 0), (1, 0), (2, 0), (9, 0), (9, 500), (9, -500)] {
        // Small integers times a power of two: the product, and with it the residual, is exact.
        let a = Array2::from_shape_fn((n, n), |(i, j)| {
            let entry = if i == j {
                4.0 + (i % 3) as f64
            } else {
                ((i + j) % 2) as f64
            };
            entry * 2.0_f64.powi(exponent)
        });
        let a = Counted::new(DenseOperator::new(a).unwrap());
        let x = Array1::from_shape_fn(n, |i| 1.0 + i as f64);
        let b = product(&a, x.view());
        for (name, from) in SOLVERS.iter().filter_map(|s| Some((s.name, s.from?))) {
            a.reset();
            let found = from(&a, &b, &x);
            assert_eq!((found.claim, &found.x), (Claim::Solved, &x), "{name}");
            assert!(a.count() <= 1, "{name}: {}", a.count());
        }
    }
}

/// A NaN or an infinity at any of the products that a solver makes, once or ever after.
#[test]
fn bad_products_are_seen_whenever_they_come() {
    let kinds = [
        "condition 1e2",
        "condition 1e6",
        "three values",
        "indefinite 1e2",
        "semidefinite",
    ];
    for (name, spectrum) in spectra(9)
        .into_iter()
        .filter(|(name, _)| kinds.contains(name))
    {
        let system = System::new(name, spectrum, (1.0, 1.0), true, 5);
        for solver in &SOLVERS {
            let sound = FaultyOperator::new(&system.a, Fault::NONE);
            (solver.solve)(&sound, &system.b, system.radius());
            for first in 0..sound.calls() {
                for (bad, count) in [
                    (f64::NAN, 1),
                    (f64::INFINITY, 1),
                    (f64::NEG_INFINITY, 1),
                    (f64::NAN, usize::MAX),
                    (f64::INFINITY, usize::MAX),
                ] {
                    let fault = Fault { first, count, bad };
                    let found = (solver.solve)(
                        &FaultyOperator::new(&system.a, fault),
                        &system.b,
                        system.radius(),
                    );
                    let context = format!("{} on {name}: {fault:?}: {}", solver.name, found.ending);
                    assert!(found.x.iter().all(|x| x.is_finite()), "{context}");
                    assert_eq!(
                        found.claim,
                        Claim::NonFinite(Quantity::Product),
                        "{context}"
                    );
                    // No worse than the start, or not by much: norms fall in MINRES, LSMR, and the
                    // energy in the others.
                    let energy = |x: &Array1<f64>| {
                        0.5 * x.dot(&product(&system.a, x.view())) - x.dot(&system.b)
                    };
                    if !solver.any_inertia && solver.name != "BlockCg" && system.is_semidefinite() {
                        assert!(energy(&found.x) <= 1e-12, "{context}");
                    }
                }
            }
        }
    }
}

/// A preconditioner that turns bad at a call.
struct FaultyPreconditioner {
    inner: DiagonalPreconditioner<f64>,
    first: usize,
    bad: f64,
    calls: Cell<usize>,
}

impl Preconditioner<f64> for FaultyPreconditioner {
    fn apply_into(&self, r: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>) {
        self.inner.apply_into(r, y.view_mut());
        if self.calls.get() == self.first {
            y.mapv_inplace(|y| y * self.bad);
        }
        self.calls.set(self.calls.get() + 1);
    }
    fn dim(&self) -> Option<usize> {
        self.inner.dim()
    }
}

#[test]
fn bad_preconditioners_are_seen_whenever_they_come() {
    let system = System::new("condition", logarithmic(9, -2.0), (1.0, 1.0), true, 6);
    let (a, b) = (&system.a, &system.b);
    type Run<'a> = &'a dyn Fn(&FaultyPreconditioner) -> (Array1<f64>, CgStop);
    let as_cg = |stop: MinresStop| match stop {
        MinresStop::Converged => CgStop::Converged,
        MinresStop::NonFinite { what } => CgStop::NonFinite { what },
        MinresStop::PreconditionerNotPositiveDefinite => CgStop::PreconditionerNotPositiveDefinite,
        _ => CgStop::Stagnated,
    };
    let runs: [(&str, Run<'_>); 3] = [
        ("Cg", &|m| {
            let found = Cg::default().solve_with(a, b.view(), None, m).unwrap();
            (found.x, found.stop)
        }),
        ("BlockCg", &|m| {
            let b = b.view().insert_axis(Axis(0));
            let found = BlockCg::default().solve_with(a, b, None, m).unwrap();
            (found.x.row(0).to_owned(), found.systems[0].stop)
        }),
        ("Minres", &|m| {
            let found = Minres::default().solve_with(a, b.view(), None, m).unwrap();
            (found.x, as_cg(found.stop))
        }),
    ];
    let faulty = |first, bad| FaultyPreconditioner {
        inner: DiagonalPreconditioner::new(Array1::linspace(1.0, 2.0, 9)).unwrap(),
        first,
        bad,
        calls: Cell::new(0),
    };
    for (name, run) in runs {
        let sound = faulty(usize::MAX, 1.0);
        assert!(run(&sound).1.is_converged(), "{name}");
        for first in 0..sound.calls.get() {
            for (bad, expected) in [
                (
                    f64::NAN,
                    CgStop::NonFinite {
                        what: Quantity::Preconditioner,
                    },
                ),
                (
                    f64::INFINITY,
                    CgStop::NonFinite {
                        what: Quantity::Preconditioner,
                    },
                ),
                (-1.0, CgStop::PreconditionerNotPositiveDefinite),
            ] {
                let (x, stop) = run(&faulty(first, bad));
                assert!(x.iter().all(|x| x.is_finite()), "{name} {first} {bad}");
                assert_eq!(stop, expected, "{name} {first} {bad}");
            }
        }
    }
}

/// Steps of a length whose square leaves the range of single precision.
#[test]
fn single_precision_at_extreme_scales() {
    let n = 12;
    let d = Array1::<f32>::linspace(1.0, 20.0, n);
    for (sa, sb) in [
        (1e-18_f32, 1.0_f32),
        (1e18, 1.0),
        (1.0, 1e-18),
        (1.0, 1e18),
        (1e-18, 1e3),
    ] {
        let a = DiagonalOperator::new(&d * sa);
        let b = Array1::from_elem(n, sb);
        let rectangular = DenseRectangular::new(Array2::from_diag(&(&d * sa)));
        let cg = Cg {
            relative_tolerance: 1e-6,
            ..Cg::default()
        };
        let shifted = MultiShiftCg {
            relative_tolerance: 1e-6,
            ..MultiShiftCg::default()
        };
        let block = BlockCg {
            relative_tolerance: 1e-6,
            ..BlockCg::default()
        };
        let minres = Minres {
            relative_tolerance: 1e-6,
            ..Minres::default()
        };
        let lsmr = Lsmr {
            relative_tolerance: 1e-6,
            operator_tolerance: 0.0,
            ..Lsmr::default()
        };
        let truncated = TruncatedCg {
            relative_tolerance: 1e-6,
            ..TruncatedCg::default()
        };
        let radius = 1e3 * sb / sa;
        let answers = [
            ("Cg", cg.solve(&a, b.view()).unwrap().x),
            (
                "MultiShiftCg",
                shifted
                    .solve(&a, b.view(), &[0.0])
                    .unwrap()
                    .x
                    .row(0)
                    .to_owned(),
            ),
            (
                "BlockCg",
                block
                    .solve(&a, b.view().insert_axis(Axis(0)))
                    .unwrap()
                    .x
                    .row(0)
                    .to_owned(),
            ),
            ("Minres", minres.solve(&a, b.view()).unwrap().x),
            ("Lsmr", lsmr.solve(&rectangular, b.view()).unwrap().x),
            (
                "TruncatedCg",
                truncated.solve(&a, (-&b).view(), radius).unwrap().step,
            ),
        ];
        for (name, x) in answers {
            // A residual of 1e-6‖b‖ is, in the worst coordinate, √n·1e-6 of the right answer.
            for (x, &d) in x.iter().zip(&d) {
                let off = (x * d * sa / sb - 1.0).abs();
                assert!(off <= 1e-5, "{name} {sa:e} {sb:e}: {off:e}");
            }
        }
    }
}

/// Spectra of every kind.
fn spectrum() -> impl Strategy<Value = Array1<f64>> {
    let wide = prop::collection::vec(-7.0..7.0_f64, 1..24)
        .prop_map(|e| e.iter().map(|e| 10.0_f64.powf(*e)).collect());
    let clustered = prop::collection::vec((0..3_usize, -1e-9..1e-9_f64), 1..24).prop_map(|e| {
        e.iter()
            .map(|&(k, off)| [1.0, 7.0, 300.0][k] * (1.0 + off))
            .collect()
    });
    let indefinite = prop::collection::vec((-3.0..3.0_f64, any::<bool>()), 1..24).prop_map(|e| {
        e.iter()
            .map(|&(e, up)| 10.0_f64.powf(e) * if up { 1.0 } else { -1.0 })
            .collect()
    });
    let singular = prop::collection::vec((0.5..9.0_f64, 0..3_u8), 1..24).prop_map(|e| {
        e.iter()
            .map(|&(l, zero)| if zero == 0 { 0.0 } else { l })
            .collect()
    });
    let pairs = prop::collection::vec(0.1..10.0_f64, 1..12)
        .prop_map(|e| e.iter().flat_map(|&l| [l, -l]).collect());
    prop_oneof![wide, clustered, indefinite, singular, pairs]
}

proptest! {
    #[test]
    fn random_spectra(
        spectrum in spectrum(),
        exponents in (-30..30_i32, -30..30_i32),
        consistent in any::<bool>(),
        seed in 0..1000_u64,
    ) {
        let scales = (2.0_f64.powi(exponents.0), 2.0_f64.powi(exponents.1));
        let system = System::new("random", spectrum, scales, consistent, seed);
        for solver in &SOLVERS {
            let wrong = system.check(solver);
            prop_assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
        }
    }
}
