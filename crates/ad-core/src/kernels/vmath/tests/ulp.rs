//! Errors in units in the last place.

use crate::Real;
use crate::kernels::isa::Level;

/// What the lane functions promise. The tests hold each function to a tighter bound, the worst
/// error over a much larger sample rounded up, so that losing a correction term shows.
pub(super) const BOUND: f64 = 2.0;

/// Position in the order of all values, so that neighbours differ by 1 (also across powers of
/// two, and between the largest value and infinity).
pub(super) fn ordinal<T: Real>(x: T) -> i64 {
    let (bits, sign) = if T::NAME == "f64" {
        let bits = x.as_f64().to_bits();
        (bits & (u64::MAX >> 1), bits >> 63)
    } else {
        let bits = u64::from((x.as_f64() as f32).to_bits());
        (bits & 0x7fff_ffff, bits >> 31)
    };
    // Below 2⁶³, as the sign is masked.
    let size = bits as i64;
    if sign == 0 { size } else { -size }
}

/// The distance of `got` from `nearest` + `rest` ulp, infinite where NaN or a sign differs.
pub(super) fn error<T: Real>(got: T, nearest: T, rest: f64) -> f64 {
    if got.is_nan() || nearest.is_nan() {
        return if got.is_nan() && nearest.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if got.is_sign_negative() != nearest.is_sign_negative() {
        return f64::INFINITY;
    }
    // Both the order of the values and `rest` grow along the number line.
    ((ordinal(got) - ordinal(nearest)) as f64 - rest).abs()
}

/// The worst error so far, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Worst {
    ulp: f64,
    at: String,
    count: usize,
}

impl Worst {
    pub(super) fn note(&mut self, ulp: f64, at: impl FnOnce() -> String) {
        self.count += 1;
        if ulp > self.ulp {
            self.ulp = ulp;
            self.at = at();
        }
    }

    /// Prints the worst error and says whether it is within `bound`.
    pub(super) fn report(&self, name: &str, kind: &str, level: Level, bound: f64) -> bool {
        assert!(
            bound <= BOUND,
            "a bound of a test is no looser than the promise"
        );
        println!(
            "{name:9} {kind} {level:9?}: worst {:.3} ulp of {} at {}",
            self.ulp, self.count, self.at
        );
        self.count > 0 && self.ulp <= bound
    }
}

#[test]
fn errors_count_steps_between_neighbours() {
    let next = f64::from_bits(1.0_f64.to_bits() + 1);
    assert_eq!(ordinal(next) - ordinal(1.0), 1);
    assert_eq!(ordinal(-next) - ordinal(-1.0_f64), -1);
    assert_eq!(ordinal(f32::INFINITY) - ordinal(f32::MAX), 1);
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(close(error(next, 1.0, 0.25), 0.75));
    assert!(
        close(error(-next, -1.0, -0.25), 0.75),
        "the rest counts along the number line"
    );
    assert!(error(0.0, -0.0, 0.0).is_infinite());
    assert!(error(f64::NAN, 1.0, 0.0).is_infinite());
    assert!(error(f64::INFINITY, f64::NAN, 0.0).is_infinite());
}

#[test]
fn a_function_that_is_three_ulp_off_fails() {
    let mut worst = Worst::default();
    worst.note(
        error(f64::from_bits(1.0_f64.to_bits() + 3), 1.0, 0.4),
        || "1".into(),
    );
    assert!(!worst.report("wrong", "f64", Level::Baseline, BOUND));
    assert!(!Worst::default().report("nothing", "f64", Level::Baseline, BOUND));
}
