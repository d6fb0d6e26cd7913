//! What is measured side by side, and the arrays that every engine reads.

use std::fs;
use std::path::Path;

use ndarray::Array1;

use super::request::{Kind, PeerCase, write_array};
use crate::case::{Case, Problem, vector};
use crate::error::BenchError;
use crate::suites::hvp::Op;

/// Layer sizes, rows, whether a dense Hessian fits, and whether a quick run has them.
const NETWORKS: &[(&[usize], usize, bool, bool)] = &[
    (&[2, 16, 1], 1, true, true),
    (&[64, 20, 15, 10], 256, true, true),
    (&[64, 128, 64, 10], 256, false, false),
    (&[784, 256, 128, 10], 256, false, false),
    (&[784, 1024, 512, 256, 128, 64, 10], 512, false, false),
];

/// Operations on every network, in the order of the tables.
const NETWORK_OPS: [Op; 7] = [
    Op::Value,
    Op::ValueAndGrad,
    Op::Linearize,
    Op::Hvp,
    Op::HvpLinearized,
    Op::Ggnvp,
    Op::HvpBlock16,
];

/// An epoch of Adam over a network's batches.
pub const ADAM_EPOCH: &str = "adam_epoch";

/// The four largest eigenvalues of a network's Hessian.
pub const EIGSH: &str = "eigsh";

/// The network of which eigenvalues are sought.
const EIGSH_NETWORK: &[usize] = &[64, 20, 15, 10];

/// The non-zero entries of the Hessian.
pub const HESSIAN_SPARSE: &str = "hessian_sparse";

/// From the initial point to the minimum, by an engine's own methods.
pub const MINIMIZE: &str = "minimize";

/// Layer sizes, rows of an epoch (the usual training share of the digits), rows of a batch.
const EPOCH: (&[usize], usize, usize) = (&[64, 128, 64, 10], 1437, 64);

/// Numbers of variables of the chained Rosenbrock function, and the operations on it. Its minimum
/// is sought in fewer dimensions than its derivatives are compared in: the valley takes thousands
/// of steps in a thousand dimensions.
const ROSENBROCK: [(usize, &[&str]); 3] =
    [(10, DERIVATIVES), (100, &[MINIMIZE]), (1000, DERIVATIVES)];

/// What is compared of a function of scalars.
const DERIVATIVES: &[&str] = &[
    "value",
    "value_and_grad",
    "hvp",
    "hvp_linearized",
    HESSIAN_SPARSE,
];

/// Writes the arrays of the cases to a folder and returns the cases.
///
/// # Errors
/// [`BenchError::Write`]; sizes that make no network.
pub fn write(folder: &Path, quick: bool) -> Result<Vec<PeerCase>, BenchError> {
    let mut cases = Vec::new();
    for &(sizes, batch, dense, in_quick) in NETWORKS {
        if quick && !in_quick {
            continue;
        }
        let mut ops: Vec<_> = NETWORK_OPS.iter().map(|op| op.name().to_string()).collect();
        ops.extend(dense.then(|| Op::Hessian.name().to_string()));
        let case = network(folder, Kind::Network, sizes, batch, batch)?;
        for dtype in ["f64", "f32"] {
            let mut ops = ops.clone();
            let eigenvalues = sizes == EIGSH_NETWORK && dtype == "f64";
            ops.extend(eigenvalues.then(|| EIGSH.to_string()));
            cases.push(PeerCase {
                dtype: dtype.into(),
                ops,
                ..case.clone()
            });
        }
    }
    let (sizes, rows, batch) = EPOCH;
    cases.push(PeerCase {
        ops: vec![ADAM_EPOCH.into()],
        ..network(folder, Kind::Adam, sizes, rows, batch)?
    });
    for (n, ops) in ROSENBROCK {
        cases.push(rosenbrock(folder, n, ops)?);
    }
    Ok(cases)
}

/// A perceptron on so many rows of the digits, in f64.
fn network(
    folder: &Path,
    kind: Kind,
    sizes: &[usize],
    rows: usize,
    batch: usize,
) -> Result<PeerCase, BenchError> {
    let all = Case {
        sizes: sizes.to_vec(),
        batch: rows,
    };
    let name = Case {
        batch,
        ..all.clone()
    }
    .name();
    let problem = Problem::<f64>::new(&all).map_err(|e| BenchError::failed(&name, &e))?;
    let case = PeerCase {
        folder: make_folder(folder, &all.name())?,
        name,
        kind,
        dtype: "f64".into(),
        ops: Vec::new(),
        sizes: sizes.to_vec(),
        batch,
    };
    let [inputs, targets] = [&problem.data()[0], &problem.data()[1]];
    write_array(&case.folder, "inputs", inputs)?;
    write_array(&case.folder, "targets", targets)?;
    write_array(&case.folder, "x", &problem.x)?;
    write_array(&case.folder, "v", &problem.v)?;
    Ok(case)
}

/// The chained Rosenbrock function from its usual start (−1.2, 1, −1.2, 1, …).
fn rosenbrock(folder: &Path, n: usize, ops: &[&str]) -> Result<PeerCase, BenchError> {
    let name = format!("rosenbrock/n{n}");
    let folder = make_folder(folder, &name)?;
    let x: Array1<f64> = (0..n)
        .map(|i| if i % 2 == 0 { -1.2 } else { 1.0 })
        .collect();
    write_array(&folder, "x", &x)?;
    write_array(&folder, "v", &vector(n))?;
    Ok(PeerCase {
        name,
        kind: Kind::Rosenbrock,
        dtype: "f64".into(),
        ops: ops.iter().map(ToString::to_string).collect(),
        folder,
        sizes: Vec::new(),
        batch: 0,
    })
}

fn make_folder(above: &Path, name: &str) -> Result<std::path::PathBuf, BenchError> {
    // Engines run in folders of their own choice.
    let above = std::path::absolute(above).map_err(|source| BenchError::Write {
        path: above.into(),
        source,
    })?;
    let folder = above.join(name.replace('/', "-"));
    fs::create_dir_all(&folder).map_err(|source| BenchError::Write {
        path: folder.clone(),
        source,
    })?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_arrays_and_a_quick_run_fewer_cases() {
        let folder = std::env::temp_dir().join(format!("bench-cases-{}", std::process::id()));
        let quick = write(&folder, true).unwrap();
        let names: Vec<_> = quick.iter().map(|case| case.name.as_str()).collect();
        let expected = [
            "2-16-1/b1",
            "2-16-1/b1",
            "64-20-15-10/b256",
            "64-20-15-10/b256",
            "64-128-64-10/b64",
            "rosenbrock/n10",
            "rosenbrock/n100",
            "rosenbrock/n1000",
        ];
        assert_eq!(names, expected);
        for case in &quick {
            let n = case.array::<f64>("x").unwrap().len();
            assert_eq!(case.array::<f64>("v").unwrap().len(), n, "{}", case.name);
            if case.kind != Kind::Rosenbrock {
                let sums: f64 = case.array::<f64>("targets").unwrap().iter().sum();
                let rows = case.array::<f64>("inputs").unwrap().len() / case.sizes[0];
                assert!((sums - rows as f64).abs() < 1e-9, "a one in each row");
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
