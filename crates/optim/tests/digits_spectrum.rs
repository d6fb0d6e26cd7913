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
        assert!(found.stats.n_products < 2000);
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

// scipy 1.17.1, `eigsh(k=10, tol=0)` by `benches/peers/scipy_eigsh.py`: 60 products at the upper end and
// 4186 at the lower one, where `Lanczos` takes 54 and 1211 (and ten each for the residuals).
const LARGEST: [f64; 10] = [
    2.194_879_646_457_83,
    1.680_733_414_878_832,
    1.643_153_104_628_334,
    1.453_330_394_566_38,
    0.898_553_753_922_153,
    0.809_411_961_902_715,
    0.612_492_810_936_435,
    0.524_959_222_137_823,
    0.461_950_033_712_658,
    0.228_412_518_037_419,
];
const SMALLEST: [f64; 10] = [
    -0.029_512_345_946_505,
    -0.022_429_838_344_239,
    -0.017_215_830_009_554,
    -0.016_078_198_132_699,
    -0.015_761_814_018_018,
    -0.015_470_061_411_299,
    -0.015_247_737_356_223,
    -0.014_878_734_663_815,
    -0.014_675_202_843_083,
    -0.014_451_323_673_878,
];
