//! Comparisons, selection, and elementwise functions made of pieces.

use std::ops::{BitAnd, BitOr, Not};

use super::Var;
use crate::graph::{Graph, NodeId};
use crate::ops::{Attr, Op, Rule, elementwise as ew, layout};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for super::Var<'_> {}
}

/// The other operand of a comparison or a selection: a variable, or a number.
///
/// ```
/// use ad_core::Function;
/// let f = Function::<f64>::record(2, |x| x.gt(0.0).select(x, x.square()).sum())?;
/// assert_eq!(f.value(&[2.0, -3.0])?, 11.0);
/// # Ok::<(), ad_core::Error>(())
/// ```
pub trait Operand<'t>: sealed::Sealed {
    /// The operand as a variable of the recording that another one belongs to.
    #[doc(hidden)]
    fn beside(self, other: Var<'t>) -> Var<'t>;
}

impl<'t> Operand<'t> for Var<'t> {
    fn beside(self, _other: Var<'t>) -> Var<'t> {
        self
    }
}

impl<'t> Operand<'t> for f64 {
    #[track_caller]
    fn beside(self, other: Var<'t>) -> Var<'t> {
        other.number(self)
    }
}

macro_rules! compared {
    ($($(#[$doc:meta])* $method:ident = $op:ident $order:ident;)*) => {
        impl<'t> Var<'t> {
            $(
                $(#[$doc])*
                #[track_caller]
                #[must_use]
                pub fn $method(self, other: impl Operand<'t>) -> Self {
                    let (a, b) = compared!(@$order self, other.beside(self));
                    a.binary(Op::new(&ew::$op, Attr::None), b)
                }
            )*
        }
    };
    (@straight $a:expr, $b:expr) => { ($a, $b) };
    (@swapped $a:expr, $b:expr) => { ($b, $a) };
}

compared! {
    /// The mask of x < y, element by element: 1 where it holds, else 0, without a derivative. The shapes
    /// broadcast. As in IEEE 754, −0 and +0 are equal, and nothing holds of a NaN (but [`Self::ne`]).
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.lt(2.0))?;
    /// assert_eq!(f.evaluate(&[1.0, 2.0, 3.0])?.into_raw_vec_and_offset().0, [1.0, 0.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    lt = LT straight;
    /// The mask of x ≤ y; see [`Self::lt`].
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.le(2.0))?;
    /// assert_eq!(f.evaluate(&[2.0, 3.0])?.into_raw_vec_and_offset().0, [1.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    le = LE straight;
    /// The mask of x > y; see [`Self::lt`].
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.gt(2.0))?;
    /// assert_eq!(f.evaluate(&[2.0, 3.0])?.into_raw_vec_and_offset().0, [0.0, 1.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    gt = LT swapped;
    /// The mask of x ≥ y; see [`Self::lt`].
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.ge(x.at(0)))?;
    /// assert_eq!(f.evaluate(&[2.0, 1.0])?.into_raw_vec_and_offset().0, [1.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ge = LE swapped;
    /// The mask of x = y; see [`Self::lt`].
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.eq(0.0))?;
    /// assert_eq!(f.evaluate(&[-0.0, 1.0])?.into_raw_vec_and_offset().0, [1.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    eq = EQUALS straight;
    /// The mask of x ≠ y, which holds of a NaN; see [`Self::lt`]. So `x.ne(x)` is the mask of NaN.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.sqrt().ne(x.sqrt()))?;
    /// assert_eq!(f.evaluate(&[-1.0, 1.0])?.into_raw_vec_and_offset().0, [1.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ne = NOT_EQUALS straight;
    /// The smaller of x and y, element by element; the shapes broadcast. NaN if one of them is, and −0 is
    /// less than +0, as IEEE 754's `minimum` has it.
    ///
    /// The derivative goes to the smaller operand, by selection (see [`Self::select`]); at a tie each of
    /// the two has half of it.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.minimum(2.0).sum())?;
    /// assert_eq!(f.value(&[1.0, 2.0, 3.0])?, 5.0);
    /// assert_eq!(f.gradient(&[1.0, 2.0, 3.0])?.to_vec(), [1.0, 0.5, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    minimum = MINIMUM straight;
    /// The larger of x and y, element by element; see [`Self::minimum`].
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.maximum(2.0).sum())?;
    /// assert_eq!(f.value(&[1.0, 2.0, 3.0])?, 7.0);
    /// assert_eq!(f.gradient(&[1.0, 2.0, 3.0])?.to_vec(), [0.0, 0.5, 1.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    maximum = MAXIMUM straight;
}

impl<'t> Var<'t> {
    /// Where this mask is true (not 0) the element of `a`, else that of `b`; the three shapes broadcast.
    ///
    /// No derivative passes through the mask, and none sees the branch that is not taken: cotangents are
    /// selected, not multiplied by the mask. What is left out stays 0 through all elementwise functions
    /// before the selection, to any order, whatever their slopes are: a branch may be NaN or ∞ there, in value,
    /// slope and curvature. It also passes sums and means, reshaped and permuted arrays; it ends at products
    /// of matrices, elements taken by position, and other functions of several elements. If infinite
    /// slopes lie before those, select the branch's operand too.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.gt(0.0).select(x.sqrt() * x.ln(), 0.0).sum())?;
    /// assert_eq!(f.value(&[1.0, 0.0, -1.0])?, 0.0);
    /// assert_eq!(f.gradient(&[1.0, 0.0, -1.0])?.to_vec(), [1.0, 0.0, 0.0]);
    /// let hessian = f.hessian(&[1.0, 0.0, -1.0])?;
    /// assert_eq!(hessian.diag().to_vec(), [0.0, 0.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn select(self, a: impl Operand<'t>, b: impl Operand<'t>) -> Self {
        let (a, b) = (a.beside(self), b.beside(self));
        self.recorder.build("select", |graph| {
            self.same_recording(a)?;
            self.same_recording(b)?;
            let [m, x, y] = [self, a, b].map(|v| graph.shape(v.id).clone());
            let shape = x.broadcast(&y).and_then(|shape| m.broadcast(&shape));
            let Some(shape) = shape else {
                return Err(format!("the shapes {m}, {x} and {y} do not broadcast"));
            };
            let mask = without_derivative(graph, self.id);
            let mask = graph.try_broadcast_to(mask, &shape)?;
            let x = graph.try_broadcast_to(a.id, &shape)?;
            let y = graph.try_broadcast_to(b.id, &shape)?;
            Ok(ew::select(graph, mask, x, y))
        })
    }

    /// Each element, but not less than `low` and not more than `high`; NaN for a NaN. The derivative is 1
    /// in between, 0 outside, and ½ at the ends, as of [`Self::minimum`] and [`Self::maximum`], of which
    /// it is made. That `low` is more than `high`, or one is NaN, is an error of the recording.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.clamp(-1.0, 1.0).sum())?;
    /// assert_eq!(f.value(&[-2.0, 0.5, 3.0])?, 0.5);
    /// assert_eq!(f.gradient(&[-2.0, 0.5, 1.0])?.to_vec(), [0.0, 1.0, 0.5]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn clamp(self, low: f64, high: f64) -> Self {
        if low > high || low.is_nan() || high.is_nan() {
            return self.recorder.build("clamp", |_| {
                Err(format!("no number is from {low} to {high}"))
            });
        }
        self.maximum(low).minimum(high)
    }
}

/// The mask as what no derivative passes through.
fn without_derivative(graph: &mut Graph, mask: NodeId) -> NodeId {
    if graph.op(mask).def().rule() == Rule::Constant {
        return mask;
    }
    let op = Op::new(&layout::STOP_GRADIENT, Attr::None);
    graph.push(op, [mask].as_slice().into())
}

/// The mask of where both are true (not 0), 1 or 0; of two comparisons that is their product too.
///
/// ```
/// use ad_core::Function;
/// let f = Function::<f64>::record(3, |x| x.gt(0.0) & x.lt(2.0))?;
/// assert_eq!(f.evaluate(&[-1.0, 1.0, 3.0])?.into_raw_vec_and_offset().0, [0.0, 1.0, 0.0]);
/// # Ok::<(), ad_core::Error>(())
/// ```
impl<'t> BitAnd for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn bitand(self, other: Self) -> Self {
        self.binary(Op::new(&ew::AND, Attr::None), other)
    }
}

/// The mask of where one or both are true (not 0), 1 or 0.
///
/// ```
/// use ad_core::Function;
/// let f = Function::<f64>::record(3, |x| x.lt(0.0) | x.gt(2.0))?;
/// assert_eq!(f.evaluate(&[-1.0, 1.0, 3.0])?.into_raw_vec_and_offset().0, [1.0, 0.0, 1.0]);
/// # Ok::<(), ad_core::Error>(())
/// ```
impl<'t> BitOr for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn bitor(self, other: Self) -> Self {
        self.binary(Op::new(&ew::OR, Attr::None), other)
    }
}

/// The mask of where this one is false (0), 1 or 0.
///
/// ```
/// use ad_core::Function;
/// let f = Function::<f64>::record(2, |x| !x.lt(0.0))?;
/// assert_eq!(f.evaluate(&[-1.0, 2.0])?.into_raw_vec_and_offset().0, [0.0, 1.0]);
/// # Ok::<(), ad_core::Error>(())
/// ```
impl Not for Var<'_> {
    type Output = Self;
    #[track_caller]
    fn not(self) -> Self {
        self.unary(Op::new(&ew::NOT, Attr::None))
    }
}
