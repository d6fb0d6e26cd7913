//! Square roots divided by a number that stays the same.

use ad_core::Real;
use pulp::Arch;

/// √v / c for many v.
///
/// A division occupies the divider for as long as ten other operations take, and the root
/// before it and the division after it want it too. Where multiplications and additions fuse,
/// the reciprocal of c and two corrections give the same bits.
#[derive(Clone, Copy)]
pub(super) struct RootOver<T> {
    divisor: T,
    reciprocal: T,
    fused: bool,
}

impl<T: Real> RootOver<T> {
    /// Of a divisor in (10⁻⁹, 1].
    pub(super) fn new(divisor: T) -> Self {
        RootOver {
            divisor,
            reciprocal: divisor.recip(),
            fused: !matches!(Arch::new(), Arch::Scalar),
        }
    }

    /// √v / c, both operations rounded to the nearest.
    ///
    /// The product with the reciprocal is off by two units in the last place at most; the first
    /// correction makes it the quotient or a neighbour of it, and then the second rounds
    /// correctly, by a theorem of Markstein (*Computation of elementary functions on the IBM
    /// RISC System/6000 processor*, 1990) that asks for the nearest reciprocal and an exact
    /// remainder. Roots are too large for the remainder to underflow, or zero.
    #[inline(always)]
    pub(super) fn of(self, v: T) -> T {
        let root = v.sqrt();
        if !self.fused {
            return root / self.divisor;
        }
        let correct = |q: T| {
            let remainder = (-q).mul_add(self.divisor, root);
            remainder.mul_add(self.reciprocal, q)
        };
        let quotient = correct(correct(root * self.reciprocal));
        // The remainder of an infinite root is NaN, its quotient is not.
        if root < T::infinity() { quotient } else { root }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::float_cmp,
        reason = "equal to the last bit is what is promised"
    )]

    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Against the division itself, for every divisor of Adam's first 3000 steps and for
    /// roots of all sizes.
    fn equals_division<T: Real>(smallest_exponent: i32, largest_exponent: i32) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for step in 1..3000 {
            for beta2 in [0.9, 0.99, 0.999, 0.999_999] {
                let divisor = T::of((1.0 - f64::powi(beta2, step)).sqrt());
                let plain = RootOver {
                    fused: false,
                    ..RootOver::new(divisor)
                };
                let fused = RootOver {
                    fused: true,
                    ..plain
                };
                for _ in 0..20 {
                    let exponent = rng.random_range(smallest_exponent..largest_exponent);
                    let v = T::of(rng.random_range(1.0..2.0)) * T::of(2.0).powi(exponent);
                    assert_eq!(fused.of(v), plain.of(v), "√{v:e} / {divisor:e}");
                }
            }
        }
    }

    #[test]
    fn two_corrections_give_the_quotient() {
        equals_division::<f64>(-1070, 1023);
        equals_division::<f32>(-148, 127);
    }

    #[test]
    fn special_values_are_those_of_a_division() {
        let over = RootOver {
            fused: true,
            ..RootOver::new(0.3_f64)
        };
        assert_eq!(over.of(0.0), 0.0);
        assert_eq!(over.of(f64::INFINITY), f64::INFINITY);
        assert!(over.of(f64::NAN).is_nan());
        assert_eq!(over.of(5e-324), 5e-324_f64.sqrt() / 0.3);
        assert_eq!(over.of(f64::MAX), f64::MAX.sqrt() / 0.3);
    }
}
