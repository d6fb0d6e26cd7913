//! Curves fitted to data, measured or computed.

use crate::data;
use crate::problem::{Kind, Problem};

/// 6. Jennrich and Sampson (1968): rᵢ = 2 + 2i − (e^(ix₁) + e^(ix₂)), m = 10.
#[must_use]
pub fn jennrich_sampson() -> Problem {
    let f = 124.362_182_355_614_85;
    Problem::record(6, "Jennrich and Sampson", &[0.3, 0.4], f, |x| {
        let residual = |i: f64| 2.0 + 2.0 * i - ((i * x[0]).exp() + (i * x[1]).exp());
        (1..=10).map(f64::from).map(residual).collect()
    })
    .other(Kind::Limit, 259.580_190_134_253_26)
}

/// 8. Bard (1970): rᵢ = yᵢ − (x₁ + uᵢ/(vᵢx₂ + wᵢx₃)), uᵢ = i, vᵢ = 16 − i, wᵢ = min(uᵢ, vᵢ).
#[must_use]
pub fn bard() -> Problem {
    Problem::record(8, "Bard", &[1.0; 3], 0.008_214_877_306_578_975, |x| {
        let residual = |(u, &y): (f64, &f64)| {
            let v = 16.0 - u;
            y - (x[0] + u / (v * x[1] + u.min(v) * x[2]))
        };
        numbered(&data::BARD).map(residual).collect()
    })
    .from_three_starts()
    .other(Kind::Minimum, 0.932_775_243_898_300_8)
    .other(Kind::Minimum, 1.003_820_586_821_947_4)
    .other(Kind::Minimum, 1.774_926_777_815_261_5)
    .other(Kind::Minimum, 1.886_274_813_591_352_8)
    .other(Kind::Minimum, 2.362_916_297_191_846_7)
    .other(Kind::Limit, 17.428_693_333_333_333)
}

/// 9. Gaussian: rᵢ = x₁ exp(−x₂(tᵢ − x₃)²/2) − yᵢ, tᵢ = (8 − i)/2.
#[must_use]
pub fn gaussian() -> Problem {
    let f = 1.127_932_769_618_648e-8;
    Problem::record(9, "Gaussian", &[0.4, 1.0, 0.0], f, |x| {
        let residual = |(i, &y): (f64, &f64)| {
            let t = (8.0 - i) / 2.0;
            x[0] * (-x[1] * (t - x[2]).square() / 2.0).exp() - y
        };
        numbered(&data::GAUSSIAN).map(residual).collect()
    })
    .other(Kind::Limit, 0.564_223_37)
}

/// 10. Meyer (1970): rᵢ = x₁ exp(x₂/(tᵢ + x₃)) − yᵢ, tᵢ = 45 + 5i.
#[must_use]
pub fn meyer() -> Problem {
    let f = 87.945_855_170_851_12;
    Problem::record(10, "Meyer", &[0.02, 4000.0, 250.0], f, |x| {
        let residual = |(i, &y): (f64, &f64)| x[0] * (x[1] / (45.0 + 5.0 * i + x[2])).exp() - y;
        numbered(&data::MEYER).map(residual).collect()
    })
    .from_two_starts()
}

/// 11. Cox (1969), Gulf research and development: rᵢ = exp(−|yᵢ − x₂|^x₃/x₁) − tᵢ, tᵢ = i/100,
/// yᵢ = 25 + (−50 ln tᵢ)^⅔, m = 99.
///
/// The paper prints |yᵢ m i x₂|, with m and i for two minus signs; so read, f(x*) is not 0.
#[must_use]
pub fn gulf() -> Problem {
    Problem::record(11, "Gulf", &[5.0, 2.5, 0.15], 0.0, |x| {
        let residual = |i: i32| {
            let t = f64::from(i) / 100.0;
            let y = 25.0 + (-50.0 * t.ln()).powf(2.0 / 3.0);
            let power = (x[2] * (y - x[1]).abs().ln()).exp();
            (-power / x[0]).exp() - t
        };
        (1..=99).map(residual).collect()
    })
    .at(&[50.0, 25.0, 1.5])
}

/// 12. Box (1966), three-dimensional: rᵢ = e^(−tᵢx₁) − e^(−tᵢx₂) − x₃(e^−tᵢ − e^−10tᵢ), tᵢ = i/10,
/// m = 10. Zero also wherever x₁ = x₂ and x₃ = 0.
#[must_use]
pub fn box_3d() -> Problem {
    Problem::record(12, "Box three-dimensional", &[0.0, 10.0, 20.0], 0.0, |x| {
        let residual = |i: i32| {
            let t = f64::from(i) / 10.0;
            let width = (-t).exp() - (-10.0 * t).exp();
            (-t * x[0]).exp() - (-t * x[1]).exp() - width * x[2]
        };
        (1..=10).map(residual).collect()
    })
    .at(&[1.0, 10.0, 1.0])
    .at(&[10.0, 1.0, -1.0])
    .other(Kind::Limit, 0.075_588_740_754_997_4)
}

/// 15. Kowalik and Osborne (1968): rᵢ = yᵢ − x₁(uᵢ² + uᵢx₂)/(uᵢ² + uᵢx₃ + x₄).
#[must_use]
pub fn kowalik_osborne() -> Problem {
    let start = [0.25, 0.39, 0.415, 0.39];
    let f = 0.000_307_505_603_849_237_45;
    Problem::record(15, "Kowalik and Osborne", &start, f, |x| {
        let residual =
            |&(y, u): &(f64, f64)| y - x[0] * (u * x[1] + u * u) / (u * x[2] + u * u + x[3]);
        data::KOWALIK_OSBORNE.iter().map(residual).collect()
    })
    .from_three_starts()
    .other(Kind::Minimum, 4.236_746_264_698_344_6e-4)
    .other(Kind::Minimum, 1.594_352_026_021_962e-3)
    .other(Kind::Limit, 1.027_343_048_695_457_8e-3)
    .other(Kind::Limit, 9.446_312_959_417_532e-4)
}

/// 16. Brown and Dennis (1971): rᵢ = (x₁ + tᵢx₂ − e^tᵢ)² + (x₃ + x₄ sin tᵢ − cos tᵢ)², tᵢ = i/5,
/// m = 20.
#[must_use]
pub fn brown_dennis() -> Problem {
    let start = [25.0, 5.0, -5.0, -1.0];
    let f = 85_822.201_626_356_34;
    Problem::record(16, "Brown and Dennis", &start, f, |x| {
        let residual = |i: i32| {
            let t = f64::from(i) / 5.0;
            (x[0] + t * x[1] - t.exp()).square() + (x[2] + t.sin() * x[3] - t.cos()).square()
        };
        (1..=20).map(residual).collect()
    })
    .from_three_starts()
}

/// 17. Osborne (1972), 1: rᵢ = yᵢ − (x₁ + x₂e^(−tᵢx₄) + x₃e^(−tᵢx₅)), tᵢ = 10(i − 1).
#[must_use]
pub fn osborne_1() -> Problem {
    let start = [0.5, 1.5, -1.0, 0.01, 0.02];
    let f = 5.464_894_697_482_907e-5;
    Problem::record(17, "Osborne 1", &start, f, |x| {
        let residual = |(i, &y): (f64, &f64)| {
            let t = 10.0 * (i - 1.0);
            y - (x[0] + x[1] * (-t * x[3]).exp() + x[2] * (-t * x[4]).exp())
        };
        numbered(&data::OSBORNE_1).map(residual).collect()
    })
    .other(Kind::Limit, 0.024_518_295_138_746_37)
}

/// 18. Biggs (1971), EXP6: rᵢ = x₃e^(−tᵢx₁) − x₄e^(−tᵢx₂) + x₆e^(−tᵢx₅) − yᵢ,
/// yᵢ = e^−tᵢ − 5e^−10tᵢ + 3e^−4tᵢ, tᵢ = i/10, m = 13.
#[must_use]
pub fn biggs_exp6() -> Problem {
    let start = [1.0, 2.0, 1.0, 1.0, 1.0, 1.0];
    Problem::record(18, "Biggs EXP6", &start, 0.0, |x| {
        let residual = |i: i32| {
            let t = f64::from(i) / 10.0;
            let y = (-t).exp() - 5.0 * (-10.0 * t).exp() + 3.0 * (-4.0 * t).exp();
            let term = |height: usize, rate: usize| x[height] * (-t * x[rate]).exp();
            term(2, 0) - term(3, 1) + term(5, 4) - y
        };
        (1..=13).map(residual).collect()
    })
    .at(&[1.0, 10.0, 1.0, 5.0, 4.0, 3.0])
    .at(&[4.0, 10.0, 3.0, 5.0, 1.0, 1.0])
    .other(Kind::Limit, 5.655_649_925_499_931e-3)
}

/// 19. Osborne (1972), 2: rᵢ = yᵢ − (x₁e^(−tᵢx₅) + x₂e^(−(tᵢ − x₉)²x₆) + x₃e^(−(tᵢ − x₁₀)²x₇)
/// + x₄e^(−(tᵢ − x₁₁)²x₈)), tᵢ = (i − 1)/10.
#[must_use]
pub fn osborne_2() -> Problem {
    let start = [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5];
    let f = 0.040_137_736_293_547_735;
    Problem::record(19, "Osborne 2", &start, f, |x| {
        let residual = |(i, &y): (f64, &f64)| {
            let t = (i - 1.0) / 10.0;
            let peak = |k: usize| x[k] * (-(t - x[k + 7]).square() * x[k + 4]).exp();
            y - (x[0] * (-t * x[4]).exp() + peak(1) + peak(2) + peak(3))
        };
        numbered(&data::OSBORNE_2).map(residual).collect()
    })
    .other(Kind::Minimum, 0.119_074_097_868_218_1)
}

/// (1, v₁), (2, v₂), …
fn numbered<D>(values: &[D]) -> impl Iterator<Item = (f64, &D)> {
    (1_u32..).map(f64::from).zip(values)
}
