//! Performance profiles: Dolan and Moré, *Benchmarking optimization software with performance
//! profiles*, Math. Program. 91 (2002).

use serde::Serialize;

/// The ratios at which a profile is tabulated.
pub(super) const FACTORS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The profile of one method: ρ(τ) is the share of all tasks that it solves at no more than τ times
/// the cost of the method to which that task comes cheapest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Profile {
    pub(super) method: String,
    /// Of each task that it solves the ratio to the least cost, in rising order.
    pub(super) ratios: Vec<f64>,
    pub(super) n_tasks: usize,
}

impl Profile {
    /// ρ(τ).
    pub(super) fn at(&self, factor: f64) -> f64 {
        let within = self.ratios.partition_point(|&ratio| ratio <= factor);
        within as f64 / self.n_tasks.max(1) as f64
    }

    /// The share of the tasks that it solves.
    pub(super) fn solved(&self) -> f64 {
        self.ratios.len() as f64 / self.n_tasks.max(1) as f64
    }
}

/// The profiles of some methods: `cost(method, task)` is none where the method does not solve the
/// task. A task that none solves counts against all.
pub(super) fn profiles(
    methods: &[String],
    n_tasks: usize,
    cost: impl Fn(usize, usize) -> Option<f64>,
) -> Vec<Profile> {
    let cost = &cost;
    let costs = |task: usize| (0..methods.len()).filter_map(move |method| cost(method, task));
    let least: Vec<f64> = (0..n_tasks)
        .map(|task| costs(task).fold(f64::INFINITY, f64::min))
        .collect();
    let profile = |(at, method): (usize, &String)| {
        let ratio = |(task, least): (usize, &f64)| Some(cost(at, task)? / least);
        let mut ratios: Vec<f64> = least.iter().enumerate().filter_map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        Profile {
            method: method.clone(),
            ratios,
            n_tasks,
        }
    };
    methods.iter().enumerate().map(profile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two methods on three tasks: costs 1, 4, none and 2, 2, 9.
    #[test]
    fn shares_count_tasks_within_a_factor_of_the_best() {
        let costs = [
            [Some(1.0), Some(4.0), None],
            [Some(2.0), Some(2.0), Some(9.0)],
        ];
        let methods = ["a".to_string(), "b".to_string()];
        let found = profiles(&methods, 3, |method, task| costs[method][task]);
        assert_eq!(found[0].ratios, [1.0, 2.0]);
        assert_eq!(found[1].ratios, [1.0, 1.0, 2.0]);
        let third = 1.0 / 3.0;
        for (profile, at_1, at_2) in [
            (&found[0], third, 2.0 * third),
            (&found[1], 2.0 * third, 1.0),
        ] {
            assert!((profile.at(1.0) - at_1).abs() < 1e-15);
            assert!((profile.at(2.0) - at_2).abs() < 1e-15);
            assert!((profile.solved() - at_2).abs() < 1e-15);
        }
    }

    #[test]
    fn a_task_that_none_solves_counts_against_all() {
        let found = profiles(&["a".to_string()], 2, |_, task| (task == 0).then_some(3.0));
        assert!((found[0].solved() - 0.5).abs() < 1e-15 && found[0].ratios == [1.0]);
        assert!(profiles(&[], 2, |_, _| None).is_empty());
    }
}
