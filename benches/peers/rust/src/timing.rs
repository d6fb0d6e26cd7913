//! The measuring loop: the same as the harness's own, so that all sides are timed alike.

use std::time::Instant;

use crate::{Call, Failure, Pace};

/// Samples of a call that takes longer than is to be spent on it.
const SLOW_SAMPLES: usize = 2;

/// Seconds a call of each sample.
pub(crate) struct Timing {
    repetitions: u32,
    seconds: Vec<f64>,
}

impl Timing {
    pub(crate) fn min(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            0.5 * (sorted[middle - 1] + sorted[middle])
        }
    }

    fn is_enough(&self, pace: &Pace) -> bool {
        let is_slow = self.seconds[0] > pace.op_seconds;
        let min_samples = if is_slow {
            SLOW_SAMPLES
        } else {
            pace.min_samples
        };
        let spent = self.seconds.iter().sum::<f64>() * f64::from(self.repetitions);
        let enough = self.seconds.len() >= min_samples && spent >= pace.op_seconds;
        enough || self.seconds.len() >= pace.max_samples
    }
}

/// Rounds of one sample of each call that still wants time.
pub(crate) fn alternate(
    calls: &mut [Box<dyn Call + '_>],
    pace: &Pace,
) -> Result<Vec<Timing>, Failure> {
    let mut timings = Vec::with_capacity(calls.len());
    for call in calls.iter_mut() {
        timings.push(Timing {
            repetitions: calibrate(call.as_mut(), pace.sample_seconds)?,
            seconds: Vec::new(),
        });
    }
    let mut open: Vec<_> = (0..calls.len()).collect();
    while !open.is_empty() {
        for &at in &open {
            let repetitions = timings[at].repetitions;
            let seconds = repeat(calls[at].as_mut(), repetitions)?;
            timings[at].seconds.push(seconds / f64::from(repetitions));
        }
        open.retain(|&at| !timings[at].is_enough(pace));
    }
    Ok(timings)
}

/// How many calls make a sample.
fn calibrate(call: &mut dyn Call, sample_seconds: f64) -> Result<u32, Failure> {
    let mut repetitions = 1;
    for _ in 0..20 {
        let seconds = repeat(call, repetitions)?.max(1e-9);
        let wanted = (f64::from(repetitions) * sample_seconds / seconds).ceil();
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

fn repeat(call: &mut dyn Call, repetitions: u32) -> Result<f64, Failure> {
    let start = Instant::now();
    for _ in 0..repetitions {
        call.run()?;
    }
    Ok(start.elapsed().as_secs_f64())
}
