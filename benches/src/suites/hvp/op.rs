//! The operations.

/// An operation that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// f(x)
    Value,
    /// f(x) and ∇f(x)
    ValueAndGrad,
    /// ∇f(x) and what products at x need.
    Linearize,
    /// H·v from nothing: linearize and one product.
    Hvp,
    /// H·v at a point that was linearized before.
    HvpLinearized,
    /// G·v at a point that was linearized before, G the Gauss–Newton matrix.
    Ggnvp,
    /// H·V with 16 vectors at a point that was linearized before; times are for one vector.
    HvpBlock16,
    /// All n² entries of H from nothing.
    Hessian,
    /// The solution of (H + λI)p = ∇f from nothing, by H and its Cholesky factor.
    NewtonCholesky,
    /// The same by conjugate gradients on products H·v.
    NewtonCg,
}

/// How many vectors [`Op::HvpBlock16`] multiplies at once.
pub const BLOCK: usize = 16;

impl Op {
    /// All, cheap ones first.
    pub const ALL: [Self; 10] = [
        Self::Value,
        Self::ValueAndGrad,
        Self::Linearize,
        Self::Hvp,
        Self::HvpLinearized,
        Self::Ggnvp,
        Self::HvpBlock16,
        Self::NewtonCg,
        Self::Hessian,
        Self::NewtonCholesky,
    ];

    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::ValueAndGrad => "value_and_grad",
            Self::Linearize => "linearize",
            Self::Hvp => "hvp",
            Self::HvpLinearized => "hvp_linearized",
            Self::Ggnvp => "ggnvp",
            Self::HvpBlock16 => "hvp_block16",
            Self::Hessian => "hessian",
            Self::NewtonCholesky => "newton_cholesky",
            Self::NewtonCg => "newton_cg",
        }
    }

    /// The operation of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }

    /// How many results a call gives: times are for one of them.
    #[must_use]
    pub fn results(self) -> usize {
        if self == Self::HvpBlock16 { BLOCK } else { 1 }
    }

    /// How many n × n matrices it holds at once.
    #[must_use]
    pub fn dense_matrices(self) -> u128 {
        match self {
            Self::Hessian => 1,
            // The Hessian and its factor.
            Self::NewtonCholesky => 2,
            _ => 0,
        }
    }

    /// Whether it works at a point that was linearized before.
    #[must_use]
    pub fn needs_linearization(self) -> bool {
        matches!(self, Self::HvpLinearized | Self::Ggnvp | Self::HvpBlock16)
    }

    /// Whether it computes a Newton step.
    #[must_use]
    pub fn is_newton(self) -> bool {
        matches!(self, Self::NewtonCholesky | Self::NewtonCg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_operations_belong_together() {
        for op in Op::ALL {
            assert_eq!(Op::from_name(op.name()), Some(op));
        }
        assert_eq!(Op::from_name("hvps"), None);
    }
}
