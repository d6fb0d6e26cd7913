//! Floats of a state as their bit patterns, so that it resumes bit for bit from any format: text
//! formats round, and know no infinity.

use ad_core::Real;
use serde::{Deserialize, Deserializer, Serializer};

fn to_bits<T: Real>(value: &T) -> u64 {
    value.as_f64().to_bits()
}

fn from_bits<T: Real>(bits: u64) -> T {
    T::of(f64::from_bits(bits))
}

/// For a field of type `T`.
pub(super) mod scalar {
    use super::*;

    pub(in crate::linear) fn serialize<T: Real, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(to_bits(value))
    }

    pub(in crate::linear) fn deserialize<'de, T: Real, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        u64::deserialize(from).map(from_bits)
    }
}

/// For a field of type `Vec<T>`.
pub(super) mod list {
    use super::*;

    pub(in crate::linear) fn serialize<T: Real, S: Serializer>(
        value: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(value.iter().map(to_bits))
    }

    pub(in crate::linear) fn deserialize<'de, T: Real, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        let bits = Vec::<u64>::deserialize(from)?;
        Ok(bits.into_iter().map(from_bits).collect())
    }
}
