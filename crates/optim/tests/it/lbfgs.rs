//! L-BFGS: what it costs, and that it says when it gets no further.

use ad_core::{Function, Real};
use hvp_solvers::{FunctionObjective, Objective};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, array};
use optim::lbfgs::{Lbfgs, LbfgsState};
use optim::line_search::StrongWolfe;
use optim::minimize::{Iterate, Limits, Outcome, StopReason, minimize, minimize_observed};
use std::ops::ControlFlow;
use test_problems::Tally;

use crate::common::mgh;
use crate::newton_units::{Scaled, two};

/// Counts evaluations, keeps the least value and multiplies by a factor.
struct Watched<'a, T: Real> {
    inner: &'a mut dyn Objective<T>,
    factor: T,
    tally: Tally,
    n: u64,
    least: T,
}

impl<'a, T: Real> Watched<'a, T> {
    fn new(inner: &'a mut dyn Objective<T>, factor: f64, answers: &[f64]) -> Self {
        Watched {
            inner,
            factor: T::of(factor),
            tally: Tally::new(answers),
            n: 0,
            least: T::infinity(),
        }
    }
}

impl<T: Real> Objective<T> for Watched<'_, T> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<T>) -> T {
        self.factor * self.inner.value(x)
    }
    fn value_and_grad(&mut self, x: ArrayView1<T>, mut grad: ArrayViewMut1<T>) -> T {
        let value = self.factor * self.inner.value_and_grad(x, grad.view_mut());
        grad.mapv_inplace(|g| self.factor * g);
        self.n += 1;
        self.tally.gradient(Some(value.as_f64()));
        if value < self.least {
            self.least = value;
        }
        value
    }
}

/// Evaluations until the answer of scipy 1.17.1's L-BFGS-B (gtol 1e-9/√n, ftol 0, the defaults
/// else), by number of the problem, with derivatives by JAX; of those that it solves.
const SCIPY: [(usize, u64); 32] = [
    (1, 44),
    (2, 20),
    (4, 25),
    (5, 15),
    (7, 32),
    (8, 24),
    (9, 8),
    (11, 57),
    (12, 38),
    (13, 46),
    (14, 109),
    (15, 36),
    (16, 19),
    (17, 125),
    (18, 42),
    (19, 92),
    (20, 280),
    (21, 44),
    (22, 50),
    (23, 68),
    (24, 223),
    (25, 19),
    (26, 30),
    (27, 18),
    (28, 41),
    (29, 6),
    (30, 19),
    (31, 12),
    (32, 3),
    (33, 3),
    (34, 3),
    (35, 27),
];

#[test]
fn no_more_values_than_l_bfgs_b_takes() {
    let limits = Limits {
        gradient_tol: 1e-9,
        max_iters: 2000,
        ..Limits::default()
    };
    let (mut ours, mut theirs, mut all) = (0, 0, 0);
    for mut problem in mgh::every() {
        let (name, number) = (problem.problem.name, problem.problem.number);
        let (answers, x0) = (problem.problem.answers(), problem.x0());
        let mut f = Watched::new(&mut problem, 1.0, &answers);
        let found = minimize(&Lbfgs::default(), &mut f, x0.view(), &limits).unwrap();
        let mark = f
            .tally
            .first(found.value)
            .map(|mark| mark.counts.n_gradients);
        let scipy = SCIPY.iter().find(|row| row.0 == number).map(|row| row.1);
        println!(
            "{number} {name}: {mark:?} of {}, scipy {scipy:?}, {:?} {:e}",
            f.n, found.stop, found.gradient_norm
        );
        all += f.n;
        if let Some(scipy) = scipy {
            ours += mark.unwrap_or_else(|| panic!("{name} is not solved: {found:?}"));
            theirs += scipy;
        }
    }
    println!("{ours} {theirs}, in all {all}");
    assert!(ours <= theirs, "{ours} {theirs}");
}

fn brown_dennis<T: Real>() -> Function<T> {
    Function::record_scalars(4, |x| {
        let residual = |i: i32| {
            let t = f64::from(i) / 5.0;
            let left = (x[0] + t * x[1] - t.exp()).square();
            left + (x[2] + t.sin() * x[3] - t.cos()).square()
        };
        let terms = (1..=20).map(|i| residual(i).square());
        terms.reduce(|sum, term| sum + term).unwrap() * 1e5
    })
    .unwrap()
}

fn run<T: Real>(function: &Function<T>, x0: &Array1<T>, limits: &Limits) -> (Outcome<T>, u64, T) {
    let mut inner = FunctionObjective::new(function, &[]).unwrap();
    let mut f = Watched::new(&mut inner, 1.0, &[]);
    let found = minimize(&Lbfgs::default(), &mut f, x0.view(), limits).unwrap();
    let (n, least) = (f.n, f.least);
    (found, n, least)
}

/// With values of 8.6e9 no gradient of 1e-6 can be reached in either type.
#[test]
fn a_run_that_rounding_stops_says_so_at_the_best_point() {
    fn check<T: Real>(most: u64) {
        let x0 = array![25.0, 5.0, -5.0, -1.0].mapv(T::of);
        let (found, n, least) = run(&brown_dennis::<T>(), &x0, &Limits::default());
        println!("{} {n} {found:?} {least}", T::NAME);
        assert_eq!(found.stop, StopReason::NoiseFloor, "{found:?}");
        assert!(n <= most, "{n}");
        // 1e5 times the least value, 85822.2016263563; a sum of 20 squares.
        let right = 8_582_220_162.635_63;
        let level = 20.0 * T::epsilon().as_f64() * right;
        assert!((found.value.as_f64() - right).abs() <= level, "{found:?}");
        assert!((found.value - least).as_f64() <= level);
    }
    check::<f64>(150);
    check::<f32>(150);
}

/// arwhead: f* = 0 is a difference of sums of 3n.
#[test]
fn a_minimum_that_cancels_is_found_and_the_ending_says_how() {
    let n = 100;
    let function = Function::<f64>::record(n, |x| {
        let (first, last) = (x.slice(0, 0..n - 1), x.slice(0, n - 1..n));
        (first.square() + last.square()).square().sum() - (4.0 * first).sum() + 3.0 * (n - 1) as f64
    })
    .unwrap();
    let limits = Limits {
        gradient_tol: 1e-12,
        ..Limits::default()
    };
    let (found, evals, _) = run(&function, &Array1::ones(n), &limits);
    println!(
        "{evals} {} {:?} {:e}",
        found.value, found.stop, found.gradient_norm
    );
    assert!(found.stop.is_solved(), "{:?}", found.stop);
    assert!(
        found.value.abs() <= 600.0 * f64::EPSILON * 100.0 && evals <= 100,
        "{evals}"
    );
}

/// f = 2x + sin x has no minimum and curvature of both signs; one trial per search.
#[test]
fn a_rejected_pair_leaves_the_memory_as_it_is() {
    let function = Function::<f64>::record_scalars(1, |x| 2.0 * x[0] + x[0].sin()).unwrap();
    let mut f = FunctionObjective::new(&function, &[]).unwrap();
    let method = Lbfgs {
        memory: 1,
        line_search: StrongWolfe {
            max_evals: 1,
            ..StrongWolfe::default()
        },
        ..Lbfgs::default()
    };
    let limits = Limits {
        max_iters: 30,
        ..Limits::default()
    };
    let mut counts = Vec::new();
    minimize_observed(&method, &mut f, array![5.78].view(), &limits, |_, state| {
        counts.push(state.n_pairs());
        ControlFlow::Continue(())
    })
    .unwrap();
    let first = counts.iter().position(|&count| count == 1).unwrap();
    assert!(counts.len() > first + 5);
    assert!(
        counts[first..].iter().all(|&count| count == 1),
        "{counts:?}"
    );
}

#[test]
fn no_budget_of_values_is_passed() {
    for max_evals in 1..60 {
        let limits = Limits {
            max_evals,
            ..Limits::default()
        };
        let x0 = array![25.0, 5.0, -5.0, -1.0];
        let (found, n, least) = run(&brown_dennis::<f64>(), &x0, &limits);
        assert!(
            n <= max_evals && found.stats.n_evals == n,
            "{n} of {max_evals}"
        );
        assert!(
            found.value <= least + 100.0 * f64::EPSILON * least,
            "{found:?} {least}"
        );
        if n == max_evals {
            assert!(matches!(
                found.stop,
                StopReason::EvaluationBudget | StopReason::NoiseFloor
            ));
        }
    }
}

/// The first step is at most 1 long, whatever the units; where the gradient is longer than that, all
/// else follows the unit of f to the bit.
#[test]
fn iterates_do_not_depend_on_the_unit_of_f() {
    let mut n_compared = 0;
    for problem in mgh::all() {
        let x0 = problem.x0();
        let trace = |f: i32| {
            let limits = Limits {
                gradient_tol: 0.0,
                gradient_tol_relative: 1e-9,
                max_iters: 200,
                ..Limits::default()
            };
            let mut bits = Vec::new();
            let observe = |at: &Iterate<f64>, _: &LbfgsState<f64>| {
                bits.extend(at.x().iter().map(|x| x.to_bits()));
                bits.push((at.value() * two(-f)).to_bits());
                bits.push((at.gradient_norm() * two(-f)).to_bits());
                ControlFlow::Continue(())
            };
            let inner = problem.clone();
            let mut scaled = Scaled { inner, f, x: 0 };
            let found =
                minimize_observed(&Lbfgs::default(), &mut scaled, x0.view(), &limits, observe);
            (bits, found.unwrap().stop)
        };
        let gradient_norm = {
            let mut inner = problem.clone();
            let mut gradient = Array1::zeros(x0.len());
            inner.value_and_grad(x0.view(), gradient.view_mut());
            gradient.dot(&gradient).sqrt()
        };
        if gradient_norm < 1.0 {
            continue;
        }
        n_compared += 1;
        let plain = trace(0);
        for power in [1, 10, 61, 200] {
            let name = problem.problem.name;
            assert_eq!(trace(power), plain, "{name}: f by 2^{power}");
        }
    }
    assert!(n_compared >= 10, "{n_compared}");
}
