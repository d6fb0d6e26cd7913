//! Serde adapters that store floats as their bit patterns.
//!
//! A checkpoint must resume bit for bit in whatever format it was written.
//! Text formats do not promise that: `serde_json` reads floats to within an ulp
//! unless a feature is on, and writes NaN and ±Inf as `null`. The bits of the
//! `f64` with the same value (exact for `f32` too) are a plain integer everywhere.
//!
//! ```
//! use ad_core::Real;
//! use ndarray::{Array1, array};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(bound = "")]
//! struct State<T: Real> {
//!     #[serde(with = "hvp_solvers::bits::vector")]
//!     x: Array1<T>,
//!     #[serde(with = "hvp_solvers::bits::scalar")]
//!     value: T,
//! }
//! let text = serde_json::to_string(&State { x: array![0.1 + 0.2], value: f64::NAN })?;
//! let back: State<f64> = serde_json::from_str(&text)?;
//! assert!(back.x[0] == 0.1 + 0.2 && back.value.is_nan());
//! # Ok::<(), serde_json::Error>(())
//! ```

use ad_core::Real;
use serde::{Deserialize, Deserializer, Serializer};

fn to_bits<T: Real>(value: T) -> u64 {
    value.as_f64().to_bits()
}

fn from_bits<T: Real>(bits: u64) -> T {
    T::of(f64::from_bits(bits))
}

/// For a field of type `T`.
pub mod scalar {
    use super::*;

    /// The bits of the number, or of each entry.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Real, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(to_bits(*value))
    }

    /// What [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, T: Real, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        u64::deserialize(from).map(from_bits)
    }
}

/// For a field of type `Array1<T>` or `Vec<T>`.
pub mod vector {
    use super::*;

    /// The bits of the number, or of each entry.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<'a, T, V, S>(value: &'a V, to: S) -> Result<S::Ok, S::Error>
    where
        T: Real,
        &'a V: IntoIterator<Item = &'a T>,
        S: Serializer,
    {
        to.collect_seq(value.into_iter().map(|&x| to_bits(x)))
    }

    /// What [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, T, V, D>(from: D) -> Result<V, D::Error>
    where
        T: Real,
        V: FromIterator<T>,
        D: Deserializer<'de>,
    {
        let bits = Vec::<u64>::deserialize(from)?;
        Ok(bits.into_iter().map(from_bits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use serde::Serialize;

    #[derive(Serialize, Deserialize)]
    #[serde(bound = "")]
    struct Pair<T: Real> {
        #[serde(with = "scalar")]
        one: T,
        #[serde(with = "vector")]
        many: Array1<T>,
    }

    fn round_trip<T: Real>(values: &[f64]) {
        for &value in values {
            let pair = Pair {
                one: T::of(value),
                many: Array1::from_elem(2, T::of(value)),
            };
            let text = serde_json::to_string(&pair).unwrap();
            let back: Pair<T> = serde_json::from_str(&text).unwrap();
            let want = T::of(value).as_f64().to_bits();
            assert_eq!(back.one.as_f64().to_bits(), want);
            assert!(back.many.len() == 2 && back.many.iter().all(|x| x.as_f64().to_bits() == want));
        }
    }

    /// Values that a text float would lose: a long fraction, the smallest
    /// subnormal, the sign of zero, infinities and NaN.
    #[test]
    fn every_float_survives_json() {
        let hard = [
            0.1 + 0.2,
            5e-324,
            -0.0,
            f64::MAX,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
        ];
        round_trip::<f64>(&hard);
        round_trip::<f32>(&hard);
    }
}
