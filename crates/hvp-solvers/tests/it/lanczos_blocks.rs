//! Lanczos in blocks, and the bounds of its vectors' angles.

use std::f64::consts::PI;

use hvp_solvers::LinearOperator;
use hvp_solvers::eigen::{EigenStop, Lanczos, MultiplicityProbe, Which};
use hvp_solvers::operator::DiagonalOperator;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};

use crate::grid::{laplacian, laplacian_spectrum};
use crate::kit::{EPS, norm};
use crate::lanczos::{certify, tridiagonal};

#[test]
fn blocks_find_copies_without_probes() {
    let block = |k, block, which| Lanczos {
        block,
        probe: MultiplicityProbe::Never,
        ..Lanczos::new(k, which)
    };
    // Doubles on the square grid.
    let a = laplacian(12, 12);
    let exact = laplacian_spectrum(12, 12);
    for seed in 0..3 {
        let config = Lanczos {
            seed,
            ..block(8, 2, Which::Smallest)
        };
        certify(&a, &config.solve(&a).unwrap(), &exact[..8]);
    }
    let ends = block(3, 2, Which::BothEnds).solve(&a).unwrap();
    let mut expected = exact[..3].to_vec();
    expected.extend(&exact[141..]);
    certify(&a, &ends, &expected);
    // Every eigenvalue four times, in blocks of four, five and seven.
    let d = Array1::from_shape_fn(200, |i| (i / 4) as f64);
    let quads = DiagonalOperator::new(d);
    for b in [4, 5, 7] {
        let found = block(8, b, Which::Largest).solve(&quads).unwrap();
        certify(
            &quads,
            &found,
            &[49.0, 49.0, 49.0, 49.0, 48.0, 48.0, 48.0, 48.0],
        );
    }
    let ones = DiagonalOperator::new(Array1::<f64>::ones(100));
    certify(
        &ones,
        &block(5, 3, Which::Largest).solve(&ones).unwrap(),
        &[1.0; 5],
    );
    let two = DiagonalOperator::new(Array1::from_shape_fn(
        200,
        |i| {
            if i < 180 { 1.0 } else { 50.0 }
        },
    ));
    let config = Lanczos {
        block: 4,
        ..Lanczos::new(20, Which::Largest)
    };
    certify(&two, &config.solve(&two).unwrap(), &[50.0; 20]);
    for n in [1, 2, 3, 6] {
        let a = DiagonalOperator::new(Array1::from_shape_fn(n, |i| i as f64));
        let config = block(n, 4, Which::Smallest);
        let exact: Vec<f64> = (0..n).map(|i| i as f64).collect();
        certify(&a, &config.solve(&a).unwrap(), &exact);
    }
}

#[test]
fn blocks_go_to_the_operator_as_blocks() {
    struct Blocks(DiagonalOperator<f64>, std::cell::RefCell<Vec<usize>>);
    impl LinearOperator<f64> for Blocks {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn apply_into(&self, x: ArrayView1<'_, f64>, y: ArrayViewMut1<'_, f64>) {
            self.1.borrow_mut().push(1);
            self.0.apply_into(x, y);
        }
        fn apply_block_into(
            &self,
            x: ndarray::ArrayView2<'_, f64>,
            y: ndarray::ArrayViewMut2<'_, f64>,
        ) {
            self.1.borrow_mut().push(x.nrows());
            self.0.apply_block_into(x, y);
        }
    }
    let d = Array1::linspace(0.0, 1.0, 80).mapv(|x: f64| x * x);
    let a = Blocks(DiagonalOperator::new(d), std::cell::RefCell::default());
    let config = Lanczos {
        block: 4,
        ..Lanczos::new(3, Which::Largest)
    };
    let found = config.solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::Converged);
    let sizes = a.1.borrow();
    assert_eq!(sizes.iter().sum::<usize>(), found.stats.n_products);
    let fours = sizes.iter().filter(|&&size| size == 4).count();
    assert!(4 * fours * 10 >= 8 * found.stats.n_products, "{sizes:?}");
}

#[test]
fn angle_bounds_hold() {
    let n = 60;
    let a = tridiagonal(&vec![2.0; n], &vec![-1.0; n - 1]);
    for tolerance in [0.0, 1e-8, 1e-4] {
        let config = Lanczos {
            tolerance,
            ncv: Some(14),
            ..Lanczos::new(3, Which::Largest)
        };
        let found = config.solve(&a).unwrap();
        for (i, pair) in found.pairs.iter().enumerate() {
            let k = (n - i) as f64;
            let exact = Array1::from_shape_fn(n, |j| {
                (2.0 / (n as f64 + 1.0)).sqrt()
                    * ((j as f64 + 1.0) * k * PI / (n as f64 + 1.0)).sin()
            });
            let rest = &pair.vector - &(exact.dot(&pair.vector) * &exact);
            let sine = norm(rest.view());
            // The exact vector itself is rounded.
            assert!(
                sine <= pair.angle_bound + 4.0 * EPS,
                "{sine:e} {:e}",
                pair.angle_bound
            );
            // The measured noise of the products counts like a residual.
            assert!(
                pair.angle_bound < 3e3 * tolerance.max(1e-14),
                "{:e}",
                pair.angle_bound
            );
        }
    }
    // Copies: the angle is that to all eigenvectors of the value.
    let d = Array1::from_shape_fn(60, |i| (i / 3) as f64);
    let triples = DiagonalOperator::new(d.clone());
    let config = Lanczos {
        block: 3,
        ..Lanczos::new(3, Which::Largest)
    };
    for pair in config.solve(&triples).unwrap().pairs {
        let outside = d.iter().zip(&pair.vector).filter(|(d, _)| **d < 18.5);
        let sine = outside.map(|(_, u)| u * u).sum::<f64>().sqrt();
        assert!(
            sine <= pair.angle_bound && pair.angle_bound < 1e-12,
            "{:e}",
            pair.angle_bound
        );
    }
}
