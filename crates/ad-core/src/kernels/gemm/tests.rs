//! Every instruction set of this machine against a reference of twice the precision.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::isa::Level;
use super::{GemmShape, gemm, gemm_on, scratch_len, scratch_len_at};
use crate::real::Real;

const UNTOUCHED: f64 = -77.0;

fn levels() -> impl Iterator<Item = Level> {
    let found = Level::detect();
    [Level::Baseline, Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(move |&level| level <= found)
}

/// Row-major operands, one product.
fn plain(m: usize, n: usize, k: usize) -> GemmShape {
    let (mi, ni, ki) = (m as isize, n as isize, k as isize);
    GemmShape {
        m,
        n,
        k,
        a_row: ki,
        a_col: 1,
        b_row: ni,
        b_col: 1,
        c_row: ni,
        batch: 1,
        a_batch: mi * ki,
        b_batch: ki * ni,
        c_batch: mi * ni,
        accumulate: false,
    }
}

fn transpose_a(mut s: GemmShape) -> GemmShape {
    (s.a_row, s.a_col) = (1, s.m as isize);
    s
}

fn transpose_b(mut s: GemmShape) -> GemmShape {
    (s.b_row, s.b_col) = (1, s.k as isize);
    s
}

/// How far a walk over axes of these lengths and strides reaches.
fn extent(axes: &[(usize, isize)]) -> usize {
    if axes.iter().any(|&(len, _)| len == 0) {
        return 0;
    }
    1 + axes
        .iter()
        .map(|&(len, stride)| (len - 1) * stride.unsigned_abs())
        .sum::<usize>()
}

/// The operands of a product, in allocations that end where the operands end.
struct Operands<T> {
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
}

impl<T: Real> Operands<T> {
    fn random(s: &GemmShape, rng: &mut impl Rng) -> Self {
        let mut draw = |len: usize| -> Vec<T> {
            (0..len)
                .map(|_| T::of(rng.random_range(-1.0..1.0)))
                .collect()
        };
        Self {
            a: draw(extent(&[
                (s.m, s.a_row),
                (s.k, s.a_col),
                (s.batch, s.a_batch),
            ])),
            b: draw(extent(&[
                (s.k, s.b_row),
                (s.n, s.b_col),
                (s.batch, s.b_batch),
            ])),
            c: if s.accumulate {
                draw(c_extent(s))
            } else {
                vec![T::of(UNTOUCHED); c_extent(s)]
            },
        }
    }
}

fn c_extent(s: &GemmShape) -> usize {
    extent(&[(s.m, s.c_row), (s.n, 1), (s.batch, s.c_batch)])
}

/// a·b as the sum of two numbers.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

/// a + b as the sum of two numbers.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// What C must hold and |A|·|B| (+ |C|), the scale of the rounding errors.
fn reference<T: Real>(s: &GemmShape, o: &Operands<T>) -> Vec<Option<(f64, f64)>> {
    let mut out = vec![None; o.c.len()];
    for batch in 0..s.batch as isize {
        for i in 0..s.m as isize {
            for j in 0..s.n as isize {
                let at = (batch * s.c_batch + i * s.c_row + j) as usize;
                let start = if s.accumulate { o.c[at].as_f64() } else { 0.0 };
                let (mut sum, scale) = out[at].unwrap_or((start, start.abs()));
                let (mut rest, mut scale) = (0.0, scale);
                for p in 0..s.k as isize {
                    let x = o.a[(batch * s.a_batch + i * s.a_row + p * s.a_col) as usize];
                    let y = o.b[(batch * s.b_batch + p * s.b_row + j * s.b_col) as usize];
                    let (product, product_rest) = two_product(x.as_f64(), y.as_f64());
                    let (total, total_rest) = two_sum(sum, product);
                    sum = total;
                    rest += product_rest + total_rest;
                    scale += product.abs();
                }
                out[at] = Some((sum + rest, scale));
            }
        }
    }
    out
}

/// Runs a product at a level, with scratch memory at some offset that holds junk.
fn run<T: Real>(level: Level, s: &GemmShape, o: &Operands<T>, offset: usize) -> Vec<T> {
    let mut c = o.c.clone();
    let mut scratch = vec![T::nan(); scratch_len_at::<T>(level, s) + offset];
    // SAFETY: the operands were made for the shape, and the level was found.
    unsafe {
        gemm_on(
            level,
            s,
            o.a.as_ptr(),
            o.b.as_ptr(),
            c.as_mut_ptr(),
            &mut scratch[offset..],
        );
    }
    c
}

/// |C − reference| ≤ (k + 2)·eps·(|A|·|B| + |C|) entry by entry, the standard bound of a sum of k
/// products in any order, and what is no entry of C stays as it was.
fn check<T: Real>(s: &GemmShape, rng: &mut impl Rng) {
    let operands = Operands::<T>::random(s, rng);
    let expected = reference(s, &operands);
    let terms = s.k * if s.c_batch == 0 { s.batch } else { 1 };
    let bound = (terms + 2) as f64 * T::epsilon().as_f64();
    for level in levels() {
        let c = run(level, s, &operands, 0);
        for (at, (&value, expected)) in c.iter().zip(&expected).enumerate() {
            match expected {
                Some((sum, scale)) => assert!(
                    (value.as_f64() - sum).abs() <= bound * scale,
                    "{} at {level:?}, {s:?}: C[{at}] is {value}, not {sum}",
                    T::NAME
                ),
                None => assert!(
                    value.to_f64() == operands.c[at].to_f64(),
                    "{} at {level:?}, {s:?}: wrote C[{at}]",
                    T::NAME
                ),
            }
        }
    }
}

fn check_both(s: &GemmShape, rng: &mut impl Rng) {
    check::<f32>(s, rng);
    check::<f64>(s, rng);
}

/// How large the sweeps are: an interpreter or an emulator gets fewer sizes.
fn sparse() -> usize {
    if std::env::var_os("GEMM_TEST_SPARSE").is_some() {
        7
    } else {
        1
    }
}

#[test]
fn small_sizes() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for m in (0..=40).step_by(sparse()) {
        for n in (0..=40).step_by(sparse()) {
            let k = rng.random_range(0..=40);
            let mut shape = plain(m, n, k);
            shape.accumulate = (m + n) % 2 == 0;
            check_both(&shape, &mut rng);
            check_both(&transpose_a(shape), &mut rng);
            check_both(&transpose_b(shape), &mut rng);
        }
    }
}

#[test]
fn every_depth() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for k in (0..=40).step_by(sparse()) {
        for (m, n) in [(1, 1), (1, 9), (9, 1), (3, 17), (13, 33), (33, 70)] {
            check_both(&plain(m, n, k), &mut rng);
            check_both(&transpose_b(plain(m, n, k)), &mut rng);
        }
    }
}

/// Sizes at which operands are packed and every loop has more than one block.
#[test]
fn blocked_sizes() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let sizes = [
        (50, 100, 300),
        (130, 70, 257),
        (257, 131, 129),
        (1100, 40, 530),
        (49, 1100, 1030),
        // C larger than a part of the second-level cache.
        (270, 520, 260),
    ];
    for (m, n, k) in sizes.into_iter().step_by(sparse()) {
        for shape in [
            plain(m, n, k),
            transpose_a(plain(m, n, k)),
            transpose_b(plain(m, n, k)),
        ] {
            check_both(&shape, &mut rng);
        }
        check_both(
            &GemmShape {
                accumulate: true,
                ..transpose_a(plain(m, n, k))
            },
            &mut rng,
        );
    }
}

/// Any strides at all: sub-matrices, transposes of them, every second row, broadcasts.
#[test]
fn random_strides() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..1200 / sparse() {
        let mut size = |most: usize| rng.random_range(0..=most);
        let mut s = plain(size(40), size(60), size(50));
        s.batch = size(4);
        let mut stride = |len: usize| {
            let wide = (len + rng.random_range(0..3)) as isize;
            match rng.random_range(0..6) {
                0 => (0, 1),
                1 => (1, 0),
                2 => (2 * wide, 2),
                3 | 4 => (1, wide),
                _ => (wide, 1),
            }
        };
        (s.a_row, s.a_col) = stride(s.m.max(s.k));
        (s.b_row, s.b_col) = stride(s.k.max(s.n));
        s.c_row += rng.random_range(0..3_usize) as isize;
        s.a_batch = [0, 3000, 7][rng.random_range(0..3)];
        s.b_batch = [0, 5000, 9][rng.random_range(0..3)];
        s.c_batch = s.m as isize * s.c_row + rng.random_range(0..3_usize) as isize;
        s.accumulate = rng.random();
        check_both(&s, &mut rng);
    }
}

#[test]
fn batches() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (m, n, k) in [
        (1, 1, 1),
        (1, 17, 5),
        (17, 1, 5),
        (5, 6, 1),
        (60, 50, 140),
        (8, 128, 200),
    ] {
        for shape in [
            plain(m, n, k),
            transpose_a(plain(m, n, k)),
            transpose_b(plain(m, n, k)),
        ] {
            let batch = GemmShape { batch: 3, ..shape };
            check_both(&batch, &mut rng);
            check_both(
                &GemmShape {
                    a_batch: 0,
                    ..batch
                },
                &mut rng,
            );
            check_both(
                &GemmShape {
                    b_batch: 0,
                    ..batch
                },
                &mut rng,
            );
            check_both(
                &GemmShape {
                    a_batch: 0,
                    b_batch: 0,
                    ..batch
                },
                &mut rng,
            );
            check_both(
                &GemmShape {
                    c_batch: 0,
                    accumulate: true,
                    ..batch
                },
                &mut rng,
            );
        }
    }
}

/// A shared A of many columns is packed once, in front of the loop over the batch.
#[test]
fn batch_sharing_a_packed_operand() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let shape = GemmShape {
        batch: 2,
        a_batch: 0,
        ..transpose_a(plain(70, 200, 150))
    };
    check_both(&shape, &mut rng);
    check_both(&transpose_b(shape), &mut rng);
}

#[test]
fn one_column_of_a_wider_matrix() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (m, k) in [(1, 9), (20, 1), (33, 40), (100, 7)] {
        for shape in [plain(m, 1, k), transpose_a(plain(m, 1, k))] {
            check_both(
                &GemmShape {
                    c_row: 3,
                    c_batch: 3 * m as isize,
                    ..shape
                },
                &mut rng,
            );
            check_both(&GemmShape { b_row: 5, ..shape }, &mut rng);
            check_both(
                &GemmShape {
                    b_row: 0,
                    accumulate: true,
                    ..shape
                },
                &mut rng,
            );
        }
    }
}

/// The same bits wherever the operands and the scratch memory lie.
#[test]
fn alignment_changes_no_bit() {
    fn bits<T: Real>(rng: &mut impl Rng) {
        for shape in [
            plain(50, 70, 200),
            transpose_a(plain(61, 99, 33)),
            transpose_b(plain(3, 9, 40)),
        ] {
            let o = Operands::<T>::random(&shape, rng);
            for level in levels() {
                let expected = run(level, &shape, &o, 0);
                for shift in 1..9 {
                    let moved = |x: &[T]| [vec![T::one(); shift], x.to_vec()].concat();
                    let (a, b, mut c) = (moved(&o.a), moved(&o.b), moved(&o.c));
                    let mut scratch = vec![T::nan(); scratch_len_at::<T>(level, &shape) + shift];
                    // SAFETY: the operands were made for the shape, and the level was found.
                    unsafe {
                        let c = c[shift..].as_mut_ptr();
                        let (a, b) = (a[shift..].as_ptr(), b[shift..].as_ptr());
                        gemm_on(level, &shape, a, b, c, &mut scratch[shift..]);
                    }
                    assert!(
                        c[shift..]
                            .iter()
                            .zip(&expected)
                            .all(|(x, y)| x.to_f64() == y.to_f64())
                    );
                }
            }
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    bits::<f32>(&mut rng);
    bits::<f64>(&mut rng);
}

#[test]
fn no_depth_is_zero_or_nothing() {
    let mut c = [3.0_f64; 4];
    let mut shape = GemmShape {
        accumulate: true,
        ..plain(2, 2, 0)
    };
    assert_eq!(scratch_len::<f64>(&shape), 0);
    // SAFETY: nothing is read of A and B, and C has 2 × 2 numbers.
    unsafe {
        gemm(
            &shape,
            std::ptr::null(),
            std::ptr::null(),
            c.as_mut_ptr(),
            &mut [],
        )
    }
    assert!(c.iter().all(|&x| x.to_bits() == 3.0_f64.to_bits()));
    shape.accumulate = false;
    // SAFETY: as above.
    unsafe {
        gemm(
            &shape,
            std::ptr::null(),
            std::ptr::null(),
            c.as_mut_ptr(),
            &mut [],
        )
    }
    assert!(c.iter().all(|&x| x.to_bits() == 0));
}

#[test]
#[should_panic(expected = "scratch memory is too short")]
fn short_scratch_memory_panics() {
    let shape = transpose_b(plain(50, 50, 50));
    let mut c = vec![0.0_f64; 2500];
    let a = c.clone();
    // SAFETY: the operands have 50 × 50 numbers.
    unsafe { gemm(&shape, a.as_ptr(), a.as_ptr(), c.as_mut_ptr(), &mut []) }
}

/// |found/expected − 1| of n equal terms.
fn error_of_equal_terms(found: f32, n: usize, term: f32) -> f64 {
    (f64::from(found) / (n as f64 * f64::from(term)) - 1.0).abs()
}

/// Ten million equal terms, which all round to the same side: inner products and products of a matrix
/// and a vector from either side. 1e-6 is eight roundings.
#[test]
fn ten_million_equal_terms_are_multiplied_to_a_millionth() {
    let k = 10_000_000;
    for (m, n, k) in [(1, 1, k), (2, 1, k / 2), (1, 3, k / 4)] {
        let plain = plain(m, n, k);
        for shape in [plain, transpose_b(plain), transpose_a(plain)] {
            for term in [0.1_f32, 1.0 / 3.0, 1.999_999] {
                let (a, b) = (vec![term; m * k], vec![1.0; n * k]);
                let mut c = vec![f32::NAN; m * n];
                for level in levels() {
                    let mut scratch = vec![f32::NAN; scratch_len_at::<f32>(level, &shape)];
                    // SAFETY: operands and scratch memory of the shape's lengths; a level that is there.
                    unsafe {
                        let (a, b) = (a.as_ptr(), b.as_ptr());
                        gemm_on(level, &shape, a, b, c.as_mut_ptr(), &mut scratch);
                    }
                    for found in &c {
                        let error = error_of_equal_terms(*found, k, term);
                        assert!(error < 1e-6, "{shape:?} {level:?}: {term}: {error}");
                    }
                }
            }
        }
    }
}

/// Products by parts: all shapes, in a batch and added to what is there.
#[test]
fn long_products_are_sums_of_their_parts() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for k in [4097, 8192, 12_289, 70_000] {
        for (m, n) in [(0, 2), (2, 0), (1, 1), (1, 9), (3, 2), (17, 20)] {
            for shape in [
                plain(m, n, k),
                transpose_a(plain(m, n, k)),
                transpose_b(plain(m, n, k)),
            ] {
                for accumulate in [false, true] {
                    check_both(
                        &GemmShape {
                            accumulate,
                            ..shape
                        },
                        &mut rng,
                    );
                }
            }
        }
    }
    let batch = GemmShape {
        batch: 3,
        ..plain(2, 5, 9000)
    };
    check_both(&batch, &mut rng);
}
