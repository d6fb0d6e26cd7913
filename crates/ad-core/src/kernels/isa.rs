//! The instruction sets that kernels are compiled for.

use std::sync::OnceLock;

/// An instruction set, as a type parameter of the lane functions: they ask it whether a fused
/// multiply-add is one instruction (where it is not, `mul_add` would be a slow library call).
pub trait Isa: Copy + 'static {
    /// Whether fused multiply-add is one instruction here.
    const FMA: bool;
}

/// What every processor of the target has.
#[derive(Clone, Copy, Debug)]
pub struct Baseline;
/// x86-64 with AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2;
/// x86-64 with AVX-512 F, DQ, VL and BW.
#[derive(Clone, Copy, Debug)]
pub struct Avx512;

impl Isa for Baseline {
    const FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
}
impl Isa for Avx2 {
    const FMA: bool = true;
}
impl Isa for Avx512 {
    const FMA: bool = true;
}

/// The instruction set found at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// [`Baseline`].
    Baseline,
    /// [`Avx2`].
    Avx2,
    /// [`Avx512`].
    Avx512,
}

impl Level {
    /// The widest instruction set of this processor, looked up once; the baseline if the feature
    /// `portable` asks for it.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Level> = OnceLock::new();
        *FOUND.get_or_init(Self::look_up)
    }

    fn look_up() -> Self {
        #[cfg(all(target_arch = "x86_64", not(feature = "portable")))]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
            {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }
}
