//! The extreme eigenpairs of a network's Hessian, beside scipy's on the same operator.

#[path = "../examples/digits_spectrum/task.rs"]
mod task;

use hvp_solvers::eigen::{EigenStop, Lanczos, Which};
use hvp_solvers::{Curvature, CurvatureOperator, FunctionObjective, LinearOperator, SecondOrder};
use ndarray::Array1;
use task::Task;

#[test]
fn ten_pairs_at_either_end() {
    let task = Task::new().expect("the task");
    let views = task.views();
    let mut objective = FunctionObjective::new(&task.loss, &views).expect("the loss");
    let mut gradient = Array1::zeros(13_050);
    let value = objective.linearize(task.parameters.view(), gradient.view_mut());
    assert!(value > 0.0 && value < 1.0, "{value}");
    let h = CurvatureOperator::new(&objective, Curvature::Hessian, 0.0).expect("the Hessian");
    assert!(h.dim() >= 10_000);
    for (which, scipy) in [(Which::Largest, LARGEST), (Which::Smallest, SMALLEST)] {
        let found = Lanczos::new(10, which).solve(&h).expect("a solve");
        println!("{which:?}: {} products", found.stats.n_products);
        assert_eq!(found.stop, EigenStop::Converged);
        let norm = found.stats.norm_estimate;
        let rounding = h.dim() as f64 * f64::EPSILON;
        assert!(found.stats.orthogonality <= 30.0 * rounding);
        assert!(found.stats.asymmetry <= 30.0 * rounding);
        for (pair, scipy) in found.pairs.iter().zip(scipy) {
            println!("  {:.15} ± {:.1e}", pair.value, pair.error_bound);
            let mut residual = Array1::zeros(h.dim());
            h.apply_into(pair.vector.view(), residual.view_mut());
            residual.scaled_add(-pair.value, &pair.vector);
            assert!(residual.dot(&residual).sqrt() <= 30.0 * rounding * norm);
            assert!(pair.error_bound <= 30.0 * rounding * norm && pair.angle_bound < 1e-6);
            // The point comes from sixty steps whose rounding differs between machines.
            assert!(
                (pair.value - scipy).abs() <= 1e-9 * norm,
                "{} {scipy}",
                pair.value
            );
        }
    }
}

// SCIPY
const LARGEST: [f64; 10] = [0.0; 10];
const SMALLEST: [f64; 10] = [0.0; 10];
