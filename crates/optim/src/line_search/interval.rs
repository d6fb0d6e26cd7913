//! The interval in which a search looks for its step, and the choice of the next trial.

use ad_core::Real;

use super::{Trial, cubic};

/// The other end of the interval, seen from its lowest point.
#[derive(Debug, Clone, Copy)]
enum End<T> {
    /// None so far: the step grows.
    Open,
    /// A trial beyond the minimum.
    Finite(Trial<T>),
    /// A step at which φ is not finite.
    NonFinite(T),
}

/// An interval whose one end is the lowest trial, from where φ falls towards the other end.
///
/// The next trial is Moré and Thuente's: the minimum of the cubic or of a parabola through the ends,
/// whichever is the more cautious, and beyond the last trial as long as no minimum is enclosed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval<T> {
    low: Trial<T>,
    end: End<T>,
    /// The bounds of the next step while the interval is open.
    near: T,
    far: T,
    /// The widths before the last trial and the one before it.
    widths: [T; 2],
    /// By how much the way to a step that is not finite is cut.
    cut: T,
}

impl<T: Real> Interval<T> {
    pub(super) fn new(start: Trial<T>, first_step: T) -> Self {
        Interval {
            low: start,
            end: End::Open,
            near: first_step,
            far: T::of(5.0) * first_step,
            widths: [T::infinity(); 2],
            cut: T::of(0.5),
        }
    }

    /// The lower end.
    pub(super) fn low(&self) -> &Trial<T> {
        &self.low
    }

    /// The width of a closed interval.
    fn width(&self) -> Option<T> {
        match self.end {
            End::Open => None,
            End::Finite(high) => Some((high.step - self.low.step).abs()),
            End::NonFinite(step) => Some((step - self.low.step).abs()),
        }
    }

    /// Takes in that φ is not finite at `step`; returns the next step.
    pub(super) fn retreat(&mut self, step: T) -> Option<T> {
        self.end = End::NonFinite(step);
        let next = self.low.step + self.cut * (step - self.low.step);
        self.cut *= T::of(0.5);
        self.usable(next)
    }

    /// Takes in a finite trial; returns the next step, or `None` if there is no room for one.
    ///
    /// `is_above` says that `trial` is too high to be the lower end. `tilt` is the slope of the line
    /// that is taken off all values for the choice of the step, zero for none.
    pub(super) fn next(&mut self, trial: Trial<T>, is_above: bool, tilt: T) -> Option<T> {
        let turned = |t: Trial<T>| Trial {
            value: t.value - tilt * t.step,
            slope: t.slope - tilt,
            ..t
        };
        let step = self.choose(&turned(self.low), &turned(trial), is_above, turned);
        self.close_in(trial, is_above, tilt);
        self.cut = T::of(0.5);
        let step = self.shrunk(step);
        self.usable(step)
    }

    /// Moré and Thuente's four cases.
    fn choose(
        &self,
        low: &Trial<T>,
        trial: &Trial<T>,
        is_above: bool,
        turned: impl Fn(Trial<T>) -> Trial<T>,
    ) -> T {
        let cubic = cubic::minimiser(low, trial);
        let width = trial.step - low.step;
        let secant = trial.step - width * trial.slope / (trial.slope - low.slope);
        let distance = |step: T| (step - trial.step).abs();
        if is_above {
            return between(low, trial, cubic);
        }
        if trial.slope * width >= T::zero() {
            // The minimum lies between: the step that is further from the trial.
            let best = if distance(cubic) > distance(secant) || secant.is_nan() {
                cubic
            } else {
                secant
            };
            return if best.is_nan() {
                middle(low.step, trial.step)
            } else {
                best
            };
        }
        let flattens = trial.slope.abs() < low.slope.abs();
        // A cubic that falls for ever, or has its minimum behind, says nothing.
        let ahead = (cubic - trial.step) * width > T::zero();
        match self.end {
            End::Finite(high) if flattens => {
                let near = if ahead && (distance(cubic) < distance(secant) || secant.is_nan()) {
                    cubic
                } else {
                    secant
                };
                let limit = trial.step + T::of(0.66) * (high.step - trial.step);
                if (near - limit) * width < T::zero() {
                    near
                } else {
                    limit
                }
            }
            End::Finite(high) => {
                let step = cubic::minimiser(trial, &turned(high));
                if step.is_nan() {
                    middle(trial.step, high.step)
                } else {
                    step
                }
            }
            End::Open | End::NonFinite(_) => {
                let (near, far) = match self.end {
                    End::NonFinite(edge) => (trial.step, middle(trial.step, edge)),
                    _ => (self.near, self.far),
                };
                if !flattens || !ahead {
                    return far;
                }
                let step = if distance(cubic) > distance(secant) {
                    cubic
                } else {
                    secant
                };
                step.min(near.max(far)).max(near.min(far))
            }
        }
    }

    /// Moves the ends.
    fn close_in(&mut self, trial: Trial<T>, is_above: bool, tilt: T) {
        self.widths = [self.widths[1], self.width().unwrap_or(T::infinity())];
        let width = trial.step - self.low.step;
        if is_above {
            self.end = End::Finite(trial);
            return;
        }
        if (trial.slope - tilt) * width >= T::zero() {
            self.end = End::Finite(self.low);
        }
        self.low = trial;
    }

    /// The middle, where the interval has not shrunk by a third in two trials; the bounds of the next
    /// trial but one, where it is open.
    fn shrunk(&mut self, step: T) -> T {
        match self.end {
            End::Finite(high) => {
                let slow = (high.step - self.low.step).abs() >= T::of(0.66) * self.widths[0];
                if slow {
                    middle(self.low.step, high.step)
                } else {
                    step
                }
            }
            End::Open => {
                let ahead = step - self.low.step;
                self.near = step + T::of(1.1) * ahead;
                self.far = step + T::of(4.0) * ahead;
                step
            }
            End::NonFinite(_) => step,
        }
    }

    /// A step, if it is a number that was not tried and the interval is wider than the rounding of
    /// its ends.
    fn usable(&self, step: T) -> Option<T> {
        let is_end = step == self.low.step
            || match self.end {
                End::Open => false,
                End::Finite(high) => step == high.step,
                End::NonFinite(edge) => step == edge,
            };
        let rounding = T::of(2.0) * T::epsilon() * step.abs();
        let is_narrow = self.width().is_some_and(|width| width <= rounding);
        (step.is_finite() && !is_end && !is_narrow).then_some(step)
    }
}

fn middle<T: Real>(a: T, b: T) -> T {
    a + T::of(0.5) * (b - a)
}

/// Between two ends of which the second is too high: the minimum of the cubic if it is nearer to the
/// lower end than that of the parabola, else the mean of both.
fn between<T: Real>(low: &Trial<T>, trial: &Trial<T>, cubic: T) -> T {
    let width = trial.step - low.step;
    let chord = (low.value - trial.value) / width + low.slope;
    let parabola = low.step + T::of(0.5) * width * low.slope / chord;
    let distance = |step: T| (step - low.step).abs();
    let step = if distance(cubic) < distance(parabola) || parabola.is_nan() {
        cubic
    } else {
        middle(cubic, parabola)
    };
    let share = (step - low.step) / width;
    // Where rounding rules, the formulas may leave the interval.
    if share > T::zero() && share < T::one() {
        step
    } else {
        middle(low.step, trial.step)
    }
}
