//! The measuring loop: repetitions by calibration, and operations in turns, so that a disturbance
//! of the machine hits all alike.

use std::time::{Duration, Instant};

use crate::heap::CountingAllocator;

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds to spend on an operation, if it is that fast.
    pub op_seconds: f64,
    /// Seconds that one sample takes at least: shorter calls are repeated.
    pub sample_seconds: f64,
    /// Samples of every operation; of those that take longer than `op_seconds`, [`SLOW_SAMPLES`].
    pub min_samples: usize,
    /// Samples at most.
    pub max_samples: usize,
    /// When to stop at one sample.
    pub deadline: Option<Instant>,
}

/// Samples of an operation that takes longer than is to be spent on it.
pub const SLOW_SAMPLES: usize = 2;

impl Pace {
    fn is_slow(&self, seconds: f64) -> bool {
        seconds > self.op_seconds
    }

    fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What an operation took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timing {
    /// Calls in a sample.
    pub repetitions: u32,
    /// Seconds a call, of each sample.
    pub seconds: Vec<f64>,
    /// Allocations a call, of each sample.
    pub allocations: Vec<f64>,
}

impl Timing {
    /// The fastest sample's seconds a call.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.seconds.iter().copied().min_by(f64::total_cmp)
    }

    /// The median sample's seconds a call.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        median(&self.seconds)
    }

    /// Allocations of the median call, rounded up.
    #[must_use]
    pub fn allocations(&self) -> Option<u64> {
        median(&self.allocations).map(|median| median.ceil() as u64)
    }

    /// Allocations a call, over all calls.
    #[must_use]
    pub fn mean_allocations(&self) -> f64 {
        self.allocations.iter().sum::<f64>() / self.allocations.len().max(1) as f64
    }

    fn spent(&self) -> f64 {
        self.seconds.iter().sum::<f64>() * f64::from(self.repetitions)
    }
}

/// The middle value, or the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(0.5 * (sorted[middle - 1] + upper))
}

/// Measures the operations 0…`n_ops` by `call`, which runs one of them once: calls to warm up and to
/// find the repetitions, then rounds of one sample of each that still wants time.
///
/// # Errors
/// The first failure of a call.
pub fn alternate<E>(
    pace: &Pace,
    heap: &CountingAllocator,
    n_ops: usize,
    mut call: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Timing>, E> {
    let mut timings = Vec::with_capacity(n_ops);
    for op in 0..n_ops {
        timings.push(Timing {
            // Never none: what is derived or grown by a first call belongs to no sample.
            repetitions: calibrate(pace.sample_seconds, || call(op))?,
            ..Timing::default()
        });
    }
    let mut open: Vec<usize> = (0..n_ops).collect();
    while !open.is_empty() {
        for &op in &open {
            let timing = &mut timings[op];
            let before = heap.allocations();
            let elapsed = repeat(timing.repetitions, || call(op))?;
            let allocations = heap.allocations() - before;
            let calls = f64::from(timing.repetitions);
            timing.seconds.push(elapsed.as_secs_f64() / calls);
            timing.allocations.push(allocations as f64 / calls);
        }
        let late = pace.is_late();
        open.retain(|&op| {
            let (samples, spent) = (timings[op].seconds.len(), timings[op].spent());
            let min_samples = if pace.is_slow(timings[op].seconds[0]) {
                SLOW_SAMPLES
            } else {
                pace.min_samples
            };
            let enough = samples >= min_samples && spent >= pace.op_seconds;
            !(enough || late || samples >= pace.max_samples)
        });
    }
    Ok(timings)
}

/// How many calls make a sample; at least one call is made.
fn calibrate<E>(sample_seconds: f64, mut call: impl FnMut() -> Result<(), E>) -> Result<u32, E> {
    // The first call may still grow buffers or wake threads: it counts only if it is slow.
    let mut repetitions = 1;
    for _ in 0..20 {
        let elapsed = repeat(repetitions, &mut call)?.as_secs_f64().max(1e-9);
        let wanted = (f64::from(repetitions) * sample_seconds / elapsed).ceil();
        if wanted <= f64::from(repetitions) {
            break;
        }
        // Towards the goal in steps of ten at most: short calls are timed badly.
        let next = wanted.min(10.0 * f64::from(repetitions)) as u32;
        let settled = f64::from(next) <= 1.5 * f64::from(repetitions);
        repetitions = next;
        if settled {
            break;
        }
    }
    Ok(repetitions)
}

fn repeat<E>(repetitions: u32, mut call: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    for _ in 0..repetitions {
        call()?;
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn pace(min_samples: usize, max_samples: usize) -> Pace {
        Pace {
            op_seconds: 0.0,
            sample_seconds: 0.0,
            min_samples,
            max_samples,
            deadline: None,
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn operations_take_turns_until_each_has_its_samples() {
        let heap = CountingAllocator::new();
        let mut order = Vec::new();
        // None is ever slow or measured for long enough, so all go on to the most samples.
        let endless = Pace {
            op_seconds: f64::INFINITY,
            ..pace(1, 3)
        };
        let timings = alternate(&endless, &heap, 2, |op| {
            order.push(op);
            Ok::<_, Infallible>(())
        });
        let timings = timings.unwrap();
        assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 1]);
        for timing in timings {
            assert_eq!((timing.repetitions, timing.seconds.len()), (1, 3));
            assert!(timing.min() <= timing.median());
            assert_eq!(timing.allocations(), Some(0));
        }
    }

    #[test]
    fn slow_operations_take_two_samples_after_a_call_to_warm_up() {
        let heap = CountingAllocator::new();
        let mut calls = 0;
        let slow = Pace {
            op_seconds: -1.0,
            ..pace(5, 9)
        };
        let timings = alternate(&slow, &heap, 1, |_| {
            calls += 1;
            Ok::<_, Infallible>(())
        });
        assert_eq!((calls, timings.unwrap()[0].seconds.len()), (3, 2));
    }

    #[test]
    fn a_passed_deadline_leaves_one_sample_and_a_failure_ends_the_loop() {
        let heap = CountingAllocator::new();
        let late = Pace {
            deadline: Some(Instant::now()),
            ..pace(5, 9)
        };
        let timings = alternate(&late, &heap, 1, |_| Ok::<_, Infallible>(())).unwrap();
        assert_eq!(timings[0].seconds.len(), 1);
        let failed = alternate(
            &late,
            &heap,
            2,
            |op| {
                if op == 1 { Err("no") } else { Ok(()) }
            },
        );
        assert_eq!(failed, Err("no"));
    }

    #[test]
    fn allocations_are_those_of_the_median_call_rounded_up() {
        let timing = Timing {
            repetitions: 10,
            seconds: vec![1.0; 3],
            allocations: vec![0.0, 0.1, 7.0],
        };
        assert_eq!(timing.allocations(), Some(1));
        assert!((timing.mean_allocations() - 7.1 / 3.0).abs() < 1e-15);
    }
}
