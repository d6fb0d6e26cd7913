//! The optimisers of the example `train_mlp` reach what it promises, in the same bits on any number
//! of threads.

#[path = "../examples/train_mlp/methods.rs"]
mod methods;
#[path = "../examples/train_mlp/task.rs"]
mod task;

use methods::{Method, Report};
use task::Task;

/// Trains on `threads` threads with the example's defaults.
fn train(method: Method, threads: usize, iterations: Option<u64>) -> Report {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool of threads");
    let task = Task::digits(&[20, 15], 1).expect("the digits");
    assert_eq!((task.n_train(), task.n_test()), (1437, 360));
    pool.install(|| methods::train(&task, method, iterations))
        .expect("a run")
}

/// Newton's dense Hessians take too long without optimisation; CI runs the example for it.
#[test]
fn optimizers_classify_at_least_95_percent_of_the_test_digits() {
    for method in Method::ALL {
        if method == Method::Newton {
            continue;
        }
        let report = train(method, 2, None);
        assert!(
            report.accuracy >= 0.95,
            "{}: {} ({})",
            method.name(),
            report.accuracy,
            report.ending
        );
        assert!(report.loss.is_finite() && report.seconds >= 0.0);
        if method == Method::HessianFree {
            assert!(report.steps < 40 && report.products > 0);
        }
        assert_eq!(report.method, method);
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_one_and_on_two_threads() {
    for method in Method::ALL {
        if method == Method::Newton {
            continue;
        }
        let digests = [1, 2].map(|threads| train(method, threads, Some(3)).digest);
        assert_eq!(digests[0], digests[1], "{}", method.name());
    }
}
