//! Seeded random vectors, the same on every machine and for every thread count.

use ad_core::Real;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The generator for a seed.
pub(crate) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Fills `x` with independent standard normals: a direction without bias.
pub(crate) fn fill_normal<T: Real>(rng: &mut ChaCha8Rng, x: &mut [T]) {
    for v in x {
        let sample: f64 = StandardNormal.sample(rng);
        *v = T::of(sample);
    }
}
