//! The curvature of a network's loss: extreme eigenpairs with bounds, kind, sharpness, density.
//!
//! With the argument `serve` it multiplies by the Hessian for another program instead: it writes the
//! dimension n (8 bytes, little endian), then answers every n doubles with n doubles.
//! `benches/peers/scipy_eigsh.py` compares `eigsh` on the same operator that way.

mod task;

use std::io::{Read, Write};

use hvp_solvers::eigen::{Lanczos, Which};
use hvp_solvers::landscape::{Classifier, SharpnessProbe};
use hvp_solvers::spectrum::Slq;
use hvp_solvers::{
    Curvature, CurvatureOperator, FunctionObjective, LinearOperator, Objective, SecondOrder,
};
use ndarray::Array1;
use task::{Task, TaskError};

fn main() -> Result<(), TaskError> {
    let task = Task::new()?;
    let views = task.views();
    let mut objective = FunctionObjective::new(&task.loss, &views)?;
    let mut gradient = Array1::zeros(objective.dim());
    let value = objective.linearize(task.parameters.view(), gradient.view_mut());
    let hessian = CurvatureOperator::new(&objective, Curvature::Hessian, 0.0)?;
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve(&hessian);
    }
    let n = hessian.dim();
    println!(
        "{n} parameters, loss {value:.4}, ‖gradient‖ {:.1e}",
        gradient.dot(&gradient).sqrt()
    );
    for which in [Which::Largest, Which::Smallest] {
        let found = Lanczos::new(10, which).solve(&hessian)?;
        println!(
            "{which:?}: {:?} after {} products",
            found.stop, found.stats.n_products
        );
        for pair in &found.pairs {
            println!(
                "  {:.15} ± {:.1e}, vector within {:.1e}",
                pair.value, pair.error_bound, pair.angle_bound
            );
        }
    }
    let point = Classifier::default().classify(&hessian)?;
    println!(
        "As a stationary point it would be a {:?}: {} products",
        point.kind, point.n_products
    );
    let sharp = SharpnessProbe::default().measure(&hessian)?;
    println!(
        "trace {:.3} ± {:.3}, effective dimension {:.2} ± {:.2}",
        sharp.trace.value,
        sharp.trace.error_bar,
        sharp.effective_dimension.value,
        sharp.effective_dimension.error_bar
    );
    let spectrum = Slq::default().estimate(&hessian)?;
    let negative = spectrum.count_below(-1e-3);
    let (low, high) = negative.interval();
    println!(
        "eigenvalues below -0.001: {:.0}, within {low:.0} and {high:.0}",
        negative.value
    );
    Ok(())
}

fn serve(hessian: &impl LinearOperator<f64>) -> Result<(), TaskError> {
    let n = hessian.dim();
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    output.write_all(&(n as u64).to_le_bytes())?;
    output.flush()?;
    let mut bytes = vec![0; 8 * n];
    let mut product = Array1::zeros(n);
    while input.read_exact(&mut bytes).is_ok() {
        let vector: Array1<f64> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|number| f64::from_le_bytes(*number))
            .collect();
        hessian.apply_into(vector.view(), product.view_mut());
        let answer: Vec<u8> = product.iter().flat_map(|x| x.to_le_bytes()).collect();
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}
