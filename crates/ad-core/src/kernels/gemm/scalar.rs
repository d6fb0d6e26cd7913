//! The kernels of each scalar type and instruction set, in one table each.

use std::ops::Add;

use super::super::isa::Level;
use super::super::vmath::Lane;
use super::dot::{self, DotFn, dot_table};
use super::pack::{self, PackFn};
use super::tile::{self, TileFn, tile_table};
use super::vector::Portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// A scalar type that has kernels for matrix products.
pub trait GemmScalar: Lane + Default + Add<Output = Self> + 'static {
    /// The kernels for an instruction set, which must be there when they run.
    fn kernels(level: Level) -> &'static Kernels<Self>;
}

/// The kernels for one scalar type and instruction set.
#[allow(missing_debug_implementations, reason = "a table of functions")]
pub struct Kernels<T: 'static> {
    /// How many numbers a vector holds.
    pub(super) lanes: usize,
    /// For 1, 2, … vectors of columns and 1, 2, … rows: the kernel that masks the last vector of
    /// B, and the one that reads it whole.
    pub(super) tiles: &'static [&'static [[TileFn<T>; 2]]],
    /// For 1, 2, … rows and 1, 2, … columns.
    pub(super) dots: &'static [&'static [DotFn<T>]],
    pub(super) pack: PackFn<T>,
    /// How many vectors wide a tile is at most where there are many rows.
    pub(super) widest: usize,
    /// The same for few rows and an odd number of vectors.
    pub(super) widest_odd: usize,
    /// The same for few rows and an even number.
    pub(super) widest_even: usize,
}

impl<T> Kernels<T> {
    /// How many vectors hold `n` numbers. The shift saves a tiny product a division.
    #[inline]
    pub(super) fn vectors(&self, n: usize) -> usize {
        (n + self.lanes - 1) >> self.lanes.trailing_zeros()
    }
}

macro_rules! kernels {
    ($level:ident, $vector:ty, $lanes:literal, widest $many:literal $odd:literal $even:literal, tiles { $($tiles:tt)+ }, dots { $($dots:tt)+ }) => {{
        use dot::$level as dots;
        use tile::$level as tiles;
        &Kernels {
            lanes: $lanes,
            tiles: tile_table!(tiles, $vector, $($tiles)+),
            dots: dot_table!(dots, $vector, $($dots)+),
            pack: pack::$level::<$vector>,
            widest: $many,
            widest_odd: $odd,
            widest_even: $even,
        }
    }};
}

macro_rules! gemm_scalar {
    ($scalar:ty, $portable:literal, $avx2:ident $avx2_lanes:literal, $avx512:ident $avx512_lanes:literal) => {
        impl GemmScalar for $scalar {
            fn kernels(level: Level) -> &'static Kernels<Self> {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => kernels!(
                        avx512, avx512::$avx512, $avx512_lanes, widest 4 3 2,
                        tiles {
                            1 => 1 2 3 4 5 6 7 8 9 10 11 12;
                            2 => 1 2 3 4 5 6 7 8 9 10 11 12;
                            3 => 1 2 3 4 5 6 7 8;
                            4 => 1 2 3 4 5 6;
                        },
                        dots { 1 => 1 2 3 4 5 6 7 8; 2 => 1 2 3 4; 3 => 1 2 3 4; 4 => 1 2 3 4; }
                    ),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => kernels!(
                        avx2, avx2::$avx2, $avx2_lanes, widest 2 3 2,
                        tiles { 1 => 1 2 3 4 5 6 7 8; 2 => 1 2 3 4 5 6; 3 => 1 2 3 4; },
                        dots { 1 => 1 2 3 4 5 6; 2 => 1 2 3 4; 3 => 1 2 3; 4 => 1 2 3; }
                    ),
                    _ => kernels!(
                        baseline, Portable<$scalar, $portable>, $portable, widest 2 2 2,
                        tiles { 1 => 1 2 3 4; 2 => 1 2 3 4; },
                        dots { 1 => 1 2 3 4; 2 => 1 2; }
                    ),
                }
            }
        }
    };
}
gemm_scalar!(f32, 4, F32x8 8, F32x16 16);
gemm_scalar!(f64, 2, F64x4 4, F64x8 8);
