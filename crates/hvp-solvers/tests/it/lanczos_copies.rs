//! Copies of eigenvalues that a Krylov space cannot hold: found by default, and counted.

use std::sync::atomic::{AtomicU32, Ordering};

use hvp_solvers::eigen::{CopiesCheck, EigenStop, Lanczos, MultiplicityProbe, Which};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

use crate::grid::{laplacian, laplacian_spectrum};
use crate::kit::with_spectrum;
use crate::lanczos::certify;

/// The Laplacian of a cycle: 2 − 2cos(2πj/n), all but the ends twice.
fn cycle(n: usize) -> DenseOperator<f64> {
    let mut a = Array2::from_diag(&Array1::from_elem(n, 2.0));
    for i in 0..n {
        a[[i, (i + 1) % n]] -= 1.0;
        a[[(i + 1) % n, i]] -= 1.0;
    }
    DenseOperator::new(a).unwrap()
}

#[test]
fn the_cycle_has_pairs() {
    let a = Counted::new(cycle(64));
    let step = std::f64::consts::TAU / 64.0;
    let exact: Vec<f64> = [0, 1, 1, 2, 2]
        .map(|j| 2.0 - 2.0 * (f64::from(j) * step).cos())
        .to_vec();
    for seed in 0..10 {
        a.reset();
        let config = Lanczos {
            seed,
            ..Lanczos::new(5, Which::Smallest)
        };
        let found = config.solve(&a).unwrap();
        assert_eq!(a.count(), found.stats.n_products as u64);
        certify(&a, &found, &exact);
        println!("cycle, seed {seed}: {:?} {:?}", found.copies, found.stats);
        assert!(
            matches!(found.copies, CopiesCheck::Passed | CopiesCheck::NotNeeded),
            "{:?}",
            found.copies
        );
    }
}

#[test]
fn every_value_twice_at_every_tolerance() {
    let a = DiagonalOperator::new(Array1::from_shape_fn(200, |i| (i / 2) as f64));
    for tolerance in [1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3] {
        for seed in 0..10 {
            let config = Lanczos {
                tolerance,
                seed,
                ..Lanczos::new(4, Which::Largest)
            };
            let found = config.solve(&a).unwrap();
            assert_eq!(found.stop, EigenStop::Converged);
            if seed == 0 {
                println!("{tolerance:e}: {:?} {:?}", found.copies, found.stats);
            }
            for (pair, exact) in found.pairs.iter().zip([99.0, 99.0, 98.0, 98.0]) {
                assert!(
                    (pair.value - exact).abs() <= pair.error_bound,
                    "{tolerance:e} {seed}: {} for {exact}, bound {:e}",
                    pair.value,
                    pair.error_bound
                );
                assert!(pair.error_bound < 0.5 && pair.converged);
                // The true residual is what was asked for, up to rounding.
                let rounding = 1e3 * f64::EPSILON * 99.0;
                assert!(pair.residual <= tolerance * pair.value + rounding);
            }
            assert_eq!(found.copies, CopiesCheck::Passed);
            // Dropped couplings are no asymmetry of the product.
            assert!(found.stats.asymmetry < 1e-13, "{:e}", found.stats.asymmetry);
        }
    }
}

#[test]
fn copies_of_many_kinds() {
    let value = |values: Vec<f64>| DiagonalOperator::new(Array1::from(values));
    let two: Vec<f64> = (0..200).map(|i| if i < 180 { 1.0 } else { 50.0 }).collect();
    let mut triples: Vec<f64> = (0..300).map(|i| (i / 3) as f64).collect();
    triples.reverse();
    for seed in 0..10 {
        let solve = |d: &[f64], k, which| {
            let config = Lanczos {
                seed,
                ..Lanczos::new(k, which)
            };
            config.solve(&value(d.to_vec())).unwrap()
        };
        let a = value(two.clone());
        let mut exact = vec![50.0; 20];
        exact.extend([1.0, 1.0]);
        certify(&a, &solve(&two, 22, Which::Largest), &exact);
        certify(
            &a,
            &solve(&two, 3, Which::BothEnds),
            &[1.0, 1.0, 1.0, 50.0, 50.0, 50.0],
        );
        let a = value(triples.clone());
        let exact = [99.0, 99.0, 99.0, 98.0, 98.0];
        certify(&a, &solve(&triples, 5, Which::Largest), &exact);
        let exact = [0.0, 0.0, 0.0, 1.0, 98.0, 99.0, 99.0, 99.0];
        certify(&a, &solve(&triples, 4, Which::BothEnds), &exact);
        // Three equal blocks on the diagonal.
        let blocks: Vec<f64> = (0..150).map(|i| f64::from((i % 50) * (i % 50))).collect();
        let a = value(blocks.clone());
        let exact = [2401.0, 2401.0, 2401.0, 2304.0, 2304.0];
        certify(&a, &solve(&blocks, 5, Which::LargestMagnitude), &exact);
        let a = value(vec![3.0; 100]);
        certify(&a, &solve(&[3.0; 100], 10, Which::Smallest), &[3.0; 10]);
    }
    // Doubles of the square grid.
    let a = laplacian(12, 12);
    let exact = laplacian_spectrum(12, 12);
    for seed in 0..10 {
        let config = Lanczos {
            seed,
            ..Lanczos::new(8, Which::Smallest)
        };
        certify(&a, &config.solve(&a).unwrap(), &exact[..8]);
    }
}

/// What a look costs where there is nothing to find.
#[test]
fn a_look_behind_a_gap_is_cheap() {
    let outliers = Array1::from_shape_fn(500, |i| {
        if i < 5 {
            1.0 / (1.0 + i as f64)
        } else {
            0.02 / i as f64
        }
    });
    let a = DiagonalOperator::new(outliers);
    for seed in 0..10 {
        let config = Lanczos {
            seed,
            ..Lanczos::new(5, Which::Largest)
        };
        let found = config.solve(&a).unwrap();
        let stats = found.stats;
        println!(
            "outliers: {} of {}",
            stats.n_probe_products, stats.n_products
        );
        assert_eq!(found.copies, CopiesCheck::Passed);
        assert!(stats.n_probe_products <= 10, "{stats:?}");
        let never = Lanczos {
            probe: MultiplicityProbe::Never,
            ..config
        };
        let blind = never.solve(&a).unwrap();
        assert_eq!(blind.copies, CopiesCheck::NotChecked);
        assert_eq!(
            blind.stats.n_products + stats.n_probe_products,
            stats.n_products
        );
    }
    // One pair at an end: how often it occurs does not matter.
    let found = Lanczos::new(1, Which::BothEnds).solve(&a).unwrap();
    assert_eq!(found.copies, CopiesCheck::NotNeeded);
    assert_eq!(found.stats.n_probe_products, 0);
    // A block has seen as many copies as it has vectors.
    let config = Lanczos {
        block: 2,
        ..Lanczos::new(5, Which::Largest)
    };
    let found = config.solve(&a).unwrap();
    assert_eq!(found.copies, CopiesCheck::NotNeeded);
}

#[test]
fn small_hard_matrices_grow_the_basis() {
    let config = Lanczos::new(3, Which::BothEnds);
    for seed in 0..5 {
        let spectrum = Array1::linspace(0.0, 1.0, 100).mapv(|x: f64| x * x);
        let a = DenseOperator::new(with_spectrum(&spectrum, seed)).unwrap();
        let config = Lanczos {
            seed,
            ..config.clone()
        };
        let usual = config.solve(&a).unwrap();
        assert_eq!(usual.stop, EigenStop::Converged);
        let large = Lanczos {
            ncv: Some(100),
            ..config.clone()
        };
        let large = large.solve(&a).unwrap().stats;
        let fixed = Lanczos {
            ncv: Some(30),
            ..config.clone()
        };
        let fixed = fixed.solve(&a).unwrap().stats;
        let tight = Lanczos {
            max_basis_bytes: 0,
            ..config.clone()
        };
        assert_eq!(tight.solve(&a).unwrap().stats, fixed);
        let own = |s: hvp_solvers::eigen::EigenStats| s.n_products - s.n_probe_products;
        println!(
            "grown {} ({} to look), 100 vectors {}, 30 vectors {}",
            own(usual.stats),
            usual.stats.n_probe_products,
            own(large),
            own(fixed)
        );
        assert!(own(usual.stats) <= 2 * own(large), "{seed}");
    }
}

/// Solves by the property below, and those that missed a copy.
static SOLVES: AtomicU32 = AtomicU32::new(0);
static INCOMPLETE: AtomicU32 = AtomicU32::new(0);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(test_problems::cases(40)))]
    /// Values with copies, wanted anywhere: the list is the right one, by default.
    #[test]
    fn lists_are_complete(
        copies in prop::collection::vec(1..4_usize, 4..24),
        k in 1..7_usize,
        which in 0..4_usize,
        log_tolerance in 0..3_usize,
        seed in 0..1_000_000_u64,
    ) {
        let mut values = Vec::new();
        for (i, &c) in copies.iter().enumerate() {
            values.extend(vec![1.5 * i as f64 - 9.0; c]);
        }
        let k = k.min(values.len());
        let a = DiagonalOperator::new(Array1::from(values.clone()));
        let which = [Which::Largest, Which::Smallest, Which::BothEnds, Which::LargestMagnitude][which];
        let config = Lanczos {
            seed,
            tolerance: [0.0, 1e-8, 1e-4][log_tolerance],
            ..Lanczos::new(k, which)
        };
        let found = config.solve(&a).unwrap();
        prop_assert_eq!(found.stop, EigenStop::Converged);
        prop_assert!(matches!(found.copies, CopiesCheck::Passed | CopiesCheck::NotNeeded));
        // Each look keeps to its limit.
        let (looks, looking) = (found.stats.n_probes, found.stats.n_probe_products);
        prop_assert!(looking <= looks * found.stats.n_products.max(200), "{:?}", found.stats);
        let n = values.len();
        let exact: Vec<f64> = match which {
            Which::Largest => values.iter().rev().take(k).copied().collect(),
            Which::Smallest => values[..k].to_vec(),
            Which::BothEnds if 2 * k >= n => values.clone(),
            Which::BothEnds => values[..k].iter().chain(&values[n - k..]).copied().collect(),
            Which::LargestMagnitude => {
                values.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
                values[..k].to_vec()
            }
        };
        let complete = found.pairs.iter().zip(&exact).all(|(pair, &exact)| {
            let value = match which {
                Which::LargestMagnitude => pair.value.abs() - exact.abs(),
                _ => pair.value - exact,
            };
            value.abs() <= pair.error_bound
        });
        // A look overlooks a copy with one chance in a thousand.
        let solves = SOLVES.fetch_add(1, Ordering::Relaxed) + 1;
        let incomplete = INCOMPLETE.fetch_add(u32::from(!complete), Ordering::Relaxed) + u32::from(!complete);
        prop_assert!(incomplete <= 1 + solves / 1000, "{:?} for {:?}: {:?}", found.pairs, exact, found.stats);
    }
}
