//! Which matrix products an operation needs, layer by layer.
//!
//! A layer maps h (rows × inputs) by W to z = h·W (rows × outputs), with cotangents d of z; dots
//! mark tangents, and V is the tangent of W.

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factors {
    /// z = h·W
    Forward,
    /// ∂W = hᵀ·d
    Weights,
    /// ∂h = d·Wᵀ
    Back,
    /// ż = h·V
    ForwardAlong,
    /// ż += ḣ·W
    ForwardTangent,
    /// ∂̇W = hᵀ·ḋ
    WeightsTangent,
    /// ∂̇W += ḣᵀ·d
    WeightsAlong,
    /// ∂̇h = ḋ·Wᵀ
    BackTangent,
    /// ∂̇h += d·Vᵀ
    BackAlong,
}

/// One product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) layer: usize,
    pub(super) factors: Factors,
}

/// S multiply-adds.
pub(super) fn value(layers: usize) -> Vec<Step> {
    up(layers, &[Factors::Forward], &[])
}

/// 3S − g₁: nothing is wanted of the derivative by the inputs.
pub(super) fn gradient(layers: usize) -> Vec<Step> {
    let mut steps = value(layers);
    steps.extend(down(layers, &[Factors::Weights], &[Factors::Back]));
    steps
}

/// 6S − 4g₁: inputs have no tangent either.
pub(super) fn with_hessian(layers: usize) -> Vec<Step> {
    use Factors::{BackAlong, BackTangent, ForwardAlong, ForwardTangent};
    use Factors::{WeightsAlong, WeightsTangent};
    let mut steps = up(layers, &[ForwardAlong], &[ForwardTangent]);
    let inner = [WeightsAlong, BackTangent, BackAlong];
    steps.extend(down(layers, &[WeightsTangent], &inner));
    steps
}

/// 4S − 2g₁
pub(super) fn gauss_newton(layers: usize) -> Vec<Step> {
    use Factors::{BackTangent, ForwardAlong, ForwardTangent, WeightsTangent};
    let mut steps = up(layers, &[ForwardAlong], &[ForwardTangent]);
    steps.extend(down(layers, &[WeightsTangent], &[BackTangent]));
    steps
}

/// From the first layer to the last; `inner` is not done in the first.
fn up(layers: usize, all: &[Factors], inner: &[Factors]) -> Vec<Step> {
    (0..layers)
        .flat_map(|layer| at(layer, all, inner))
        .collect()
}

/// From the last layer to the first.
fn down(layers: usize, all: &[Factors], inner: &[Factors]) -> Vec<Step> {
    (0..layers)
        .rev()
        .flat_map(|layer| at(layer, all, inner))
        .collect()
}

fn at(layer: usize, all: &[Factors], inner: &[Factors]) -> Vec<Step> {
    let inner = if layer == 0 { &[] } else { inner };
    let factors = all.iter().chain(inner);
    factors.map(|&factors| Step { layer, factors }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_take_the_multiply_adds_that_theory_states() {
        // Powers of ten tell the layers apart: every product of a layer has as many multiply-adds.
        let work = |steps: &[Step]| {
            let of = |step: &Step| 10_usize.pow(step.layer as u32);
            steps.iter().map(of).sum::<usize>()
        };
        let (s, g1) = (1111, 1);
        assert_eq!(work(&value(4)), s);
        assert_eq!(work(&gradient(4)), 3 * s - g1);
        assert_eq!(work(&with_hessian(4)), 6 * s - 4 * g1);
        assert_eq!(work(&gauss_newton(4)), 4 * s - 2 * g1);
    }
}
