//! Functions of [`Var`]: elementwise, layout, reductions, products, and the composed ones.

use std::ops::Range;

use super::Var;
use crate::graph::{Graph, NodeId};
use crate::ops::{Attr, Op, elementwise as ew, layout, reduce, softmax};
use crate::shape::{Dims, Shape};

macro_rules! elementwise_methods {
    ($($(#[$doc:meta])* $method:ident = $op:ident;)*) => {
        impl<'t> Var<'t> {
            $(
                $(#[$doc])*
                #[track_caller]
                #[must_use]
                pub fn $method(self) -> Self {
                    self.unary(Op::new(&ew::$op, Attr::None))
                }
            )*
        }
    };
}

elementwise_methods! {
    /// √x of each element.
    sqrt = SQRT;
    /// eˣ of each element.
    exp = EXP;
    /// The natural logarithm of each element.
    ln = LN;
    /// eˣ − 1 of each element, accurate near 0.
    exp_m1 = EXP_M1;
    /// ln(1 + x) of each element, accurate near 0.
    ln_1p = LN_1P;
    /// The sine of each element, in radians.
    sin = SIN;
    /// The cosine of each element, in radians.
    cos = COS;
    /// The hyperbolic tangent of each element.
    tanh = TANH;
    /// The logistic function 1/(1 + e⁻ˣ) of each element.
    sigmoid = SIGMOID;
    /// max(x, 0) of each element; the derivative at 0 is taken as 0.
    relu = RELU;
    /// ln(1 + eˣ) of each element, without overflow.
    softplus = SOFTPLUS;
    /// x² of each element.
    square = SQUARE;
    /// 1/x of each element.
    recip = RECIP;
    /// |x| of each element; the derivative at 0 is taken as 0.
    abs = ABS;
    /// The largest whole number that is not more than each element; the derivative is 0, also at the jumps.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.floor())?;
    /// assert_eq!(f.evaluate(&[-1.5, 0.5, 2.0])?.into_raw_vec_and_offset().0, [-2.0, 0.0, 2.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    floor = FLOOR;
    /// The smallest whole number that is not less than each element; the derivative is 0, also at the jumps.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.ceil())?;
    /// assert_eq!(f.evaluate(&[-1.5, 0.5, 2.0])?.into_raw_vec_and_offset().0, [-1.0, 1.0, 2.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ceil = CEIL;
    /// The nearest whole number, of two the one away from 0, as `f64::round` has it; the derivative is 0.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.round())?;
    /// assert_eq!(f.evaluate(&[-2.5, 0.5, 1.4])?.into_raw_vec_and_offset().0, [-3.0, 1.0, 1.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    round = ROUND;
    /// Each element without its fraction, towards 0; the derivative is 0, also at the jumps.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.trunc())?;
    /// assert_eq!(f.evaluate(&[-1.5, 0.5, 2.0])?.into_raw_vec_and_offset().0, [-1.0, 0.0, 2.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    trunc = TRUNC;
    /// 1 with the sign of each element, that of zeros too, as `f64::signum` has it; NaN for a NaN. The
    /// derivative is 0, also at 0.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.signum())?;
    /// assert_eq!(f.evaluate(&[-2.0, 3.0, -0.0])?.into_raw_vec_and_offset().0, [-1.0, 1.0, -1.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    signum = SIGNUM;
}

impl<'t> Var<'t> {
    /// xᶜ of each element, for a constant power: x ≥ 0, or a whole c.
    #[track_caller]
    #[must_use]
    pub fn powf(self, c: f64) -> Self {
        self.with_constant(&ew::POWF, c)
    }

    /// The angle of the point (`x`, this variable) of the plane, element by element, in (−π, π]:
    /// arctan(y/x) for x > 0. Its derivative at the origin is not finite. By the scalar library.
    ///
    /// ```
    /// use ad_core::Function;
    /// let angle = Function::<f64>::record_scalars(2, |v| v[1].atan2(v[0]))?;
    /// assert_eq!(angle.value(&[-1.0, 0.0])?, std::f64::consts::PI);
    /// assert_eq!(angle.gradient(&[3.0, 4.0])?.to_vec(), [-4.0 / 25.0, 3.0 / 25.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn atan2(self, x: Self) -> Self {
        self.binary(Op::new(&ew::ATAN2, Attr::None), x)
    }

    /// √(x² + y²) of this variable and another, element by element, without squares that leave the
    /// range of numbers. At the origin, where there is no derivative, it is taken as 0.
    ///
    /// ```
    /// use ad_core::Function;
    /// let length = Function::<f64>::record_scalars(2, |v| v[0].hypot(v[1]))?;
    /// let value = length.value(&[3e200, 4e200])?;
    /// assert!((value / 5e200 - 1.0).abs() <= 2.0 * f64::EPSILON);
    /// assert_eq!(length.gradient(&[0.0, 0.0])?.to_vec(), [0.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn hypot(self, other: Self) -> Self {
        self.binary(Op::new(&ew::HYPOT, Attr::None), other)
    }

    /// xⁿ of each element, by repeated squaring; for a negative n of 1/x, whose powers and their
    /// derivatives leave the range of numbers only if the result does.
    #[track_caller]
    #[must_use]
    pub fn powi(self, n: i32) -> Self {
        self.recorder.build("powi", |graph| {
            let base = if n < 0 {
                graph.map1(&ew::RECIP, self.id)
            } else {
                self.id
            };
            Ok(power(graph, base, n.unsigned_abs()))
        })
    }

    /// The same elements in row-major order under another shape.
    #[track_caller]
    #[must_use]
    pub fn reshape(self, shape: &[usize]) -> Self {
        self.unary(Op::new(&layout::RESHAPE, Attr::ints(shape)))
    }

    /// Swaps the last two axes; a vector or a number stays as it is.
    #[track_caller]
    #[must_use]
    pub fn t(self) -> Self {
        self.recorder.build("transpose", |graph| {
            let rank = graph.shape(self.id).rank();
            Ok(if rank < 2 {
                self.id
            } else {
                graph.transposed(self.id)
            })
        })
    }

    /// Reorders the axes: axis k of the result is axis `axes[k]` of this variable.
    #[track_caller]
    #[must_use]
    pub fn permute(self, axes: &[usize]) -> Self {
        self.unary(Op::new(&layout::PERMUTE, Attr::ints(axes)))
    }

    /// The elements `range` of one axis.
    #[track_caller]
    #[must_use]
    pub fn slice(self, axis: usize, range: Range<usize>) -> Self {
        self.recorder.build("slice", |graph| {
            let shape = graph.shape(self.id);
            let size = shape.dims().get(axis).copied();
            if range.start > range.end || size.is_none_or(|size| range.end > size) {
                return Err(format!(
                    "range {range:?} of axis {axis} of the shape {shape}"
                ));
            }
            let ints = [axis, range.start, range.end - range.start];
            let op = Op::new(&layout::SLICE, Attr::ints(&ints));
            graph.try_push(op, [self.id].as_slice().into())
        })
    }

    /// Element `index` of a vector, as a number.
    #[track_caller]
    #[must_use]
    pub fn at(self, index: usize) -> Self {
        self.slice(0, index..index.saturating_add(1)).reshape(&[])
    }

    /// Stretches to a shape under the rules of broadcasting.
    #[track_caller]
    #[must_use]
    pub fn broadcast_to(self, shape: &[usize]) -> Self {
        self.recorder.build("broadcast", |graph| {
            let (from, to) = (graph.shape(self.id), Shape::new(shape));
            if from.broadcast(&to).as_ref() != Some(&to) {
                return Err(format!("shape {from} to {to}"));
            }
            graph.try_broadcast_to(self.id, &to)
        })
    }

    /// The sum of all elements.
    #[track_caller]
    #[must_use]
    pub fn sum(self) -> Self {
        self.unary(Op::new(&reduce::SUM, all_axes(&self.dims())))
    }

    /// The sum along one axis, which is dropped.
    #[track_caller]
    #[must_use]
    pub fn sum_axis(self, axis: usize) -> Self {
        self.unary(Op::new(&reduce::SUM, Attr::ints(&[axis])))
    }

    /// The mean of all elements; there must be one. It is finite if they are.
    #[track_caller]
    #[must_use]
    pub fn mean(self) -> Self {
        let shape = self.dims();
        self.recorder.build("mean", |graph| {
            let axes: Dims = (0..shape.rank()).collect();
            mean(graph, self.id, &axes)
        })
    }

    /// The mean along one axis, which is dropped.
    #[track_caller]
    #[must_use]
    pub fn mean_axis(self, axis: usize) -> Self {
        self.recorder
            .build("mean", |graph| mean(graph, self.id, &[axis]))
    }

    /// The length √Σx² of all elements, without squares that leave the range of numbers.
    ///
    /// It has no derivative at 0; there its slope x/‖x‖ is taken as 0, and so are the derivatives of
    /// that. So functions of the distance of two points have finite gradients and Hessians where the points
    /// coincide: the gradient is right if the function is even in the distance, but the Hessian then is 0,
    /// not φ″(0)·I. Write such a function in terms of the squared length, of which all derivatives exist.
    ///
    /// ```
    /// use ad_core::Function;
    /// let length = Function::<f64>::record(2, |x| x.norm())?;
    /// let value = length.value(&[3e200, 4e200])?;
    /// assert!((value / 5e200 - 1.0).abs() <= 2.0 * f64::EPSILON);
    /// assert_eq!(length.gradient(&[0.0, 0.0])?.to_vec(), [0.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn norm(self) -> Self {
        self.unary(Op::new(&reduce::NORM, all_axes(&self.dims())))
    }

    /// The length √Σx² along one axis, which is dropped; see [`Self::norm`].
    #[track_caller]
    #[must_use]
    pub fn norm_axis(self, axis: usize) -> Self {
        self.unary(Op::new(&reduce::NORM, Attr::ints(&[axis])))
    }

    /// The largest element along one axis, which is dropped; ties share the derivative equally.
    #[track_caller]
    #[must_use]
    pub fn max_axis(self, axis: usize) -> Self {
        self.unary(Op::new(&reduce::MAX, Attr::ints(&[axis])))
    }

    /// ln Σ eˣ along one axis, which is dropped; without overflow. Its derivative is the softmax.
    #[track_caller]
    #[must_use]
    pub fn logsumexp_axis(self, axis: usize) -> Self {
        self.unary(Op::new(&softmax::LOG_SUM_EXP, Attr::ints(&[axis])))
    }

    /// The softmax eˣⁱ / Σⱼ eˣʲ along one axis, of the same shape; each element to a few ulp at any finite
    /// x.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.softmax_axis(0))?;
    /// assert_eq!(f.evaluate(&[1e16, 1e16])?.into_raw_vec_and_offset().0, [0.5, 0.5]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn softmax_axis(self, axis: usize) -> Self {
        self.unary(Op::new(&softmax::SOFTMAX, Attr::ints(&[axis])))
            .unary(Op::new(&ew::PROBABILITY, Attr::None))
    }

    /// The logarithm of [`Self::softmax_axis`]: xᵢ − ln Σⱼ eˣʲ, which keeps its digits where a
    /// probability rounds to 1 or 0.
    #[track_caller]
    #[must_use]
    pub fn log_softmax_axis(self, axis: usize) -> Self {
        -2.0 * self.unary(Op::new(&softmax::HALF_NEG_LOG_SOFTMAX, Attr::ints(&[axis])))
    }

    /// The mean over rows of the cross-entropy −Σⱼ tⱼ ln softmax(z)ⱼ of logits z (this variable,
    /// rows × classes) and target weights t of the same shape, which for probabilities sum to one in
    /// each row.
    ///
    /// Each row's loss comes to a few ulp at any finite logits, and so do its derivatives in z, for
    /// a row whose targets sum to one (softmax(z) − t) / rows: that of a class that is all but certain
    /// too, which is minus the sum of the other ones.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// let target = array![[1.0, 0.0]];
    /// let f = Function::<f64>::record(2, |z| {
    ///     z.reshape(&[1, 2]).softmax_cross_entropy(z.constant(target.view().into_dyn()))
    /// })?;
    /// assert!((f.value(&[3.0, 3.0])? - 2.0_f64.ln()).abs() <= 4.0 * f64::EPSILON);
    /// assert_eq!(f.gradient(&[1e16, 1e16])?.to_vec(), [-0.5, 0.5]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn softmax_cross_entropy(self, targets: Self) -> Self {
        self.recorder.build("softmax_cross_entropy", |graph| {
            self.same_recording(targets)?;
            let (z, t) = (
                graph.shape(self.id).clone(),
                graph.shape(targets.id).clone(),
            );
            if z.rank() != 2 || z != t || z.len() == 0 {
                return Err(format!(
                    "logits of the shape {z} and targets of the shape {t}"
                ));
            }
            let halves = graph.rowwise(&softmax::HALF_NEG_LOG_SOFTMAX, &[1], &[self.id]);
            let product = graph.mul(targets.id, halves);
            let total = graph.sum(product, &[0, 1]);
            Ok(graph.scale(2.0 / z.dims()[0] as f64, total))
        })
    }

    /// This variable as a constant: no derivative passes through it.
    #[track_caller]
    #[must_use]
    pub fn stop_gradient(self) -> Self {
        self.unary(Op::new(&layout::STOP_GRADIENT, Attr::None))
    }
}

/// Joins variables along one axis; the other sizes must agree.
///
/// # Panics
/// If there is no part.
#[track_caller]
#[must_use]
pub fn concatenate<'t>(axis: usize, parts: &[Var<'t>]) -> Var<'t> {
    let first = parts.first().expect("concatenate needs at least one part");
    first.recorder.build("concatenate", |graph| {
        let mut ints = vec![axis, 0];
        for part in parts {
            first.same_recording(*part)?;
            let shape = graph.shape(part.id);
            let Some(size) = shape.dims().get(axis) else {
                return Err(format!("axis {axis} of the shape {shape}"));
            };
            ints.push(ints[1]);
            let end = ints[1].checked_add(*size);
            ints[1] = end.ok_or("the parts are longer together than an array can be")?;
        }
        let op = Op::new(&layout::PLACE, Attr::ints(&ints));
        graph.try_push(op, parts.iter().map(|part| part.id).collect())
    })
}

/// Puts numbers side by side into a vector.
///
/// # Panics
/// If there is no part.
#[track_caller]
#[must_use]
pub fn stack<'t>(parts: &[Var<'t>]) -> Var<'t> {
    let mut vectors = Vec::with_capacity(parts.len());
    // A loop, because a closure would hide the caller's line.
    for part in parts {
        vectors.push(part.reshape(&[1]));
    }
    concatenate(0, &vectors)
}

fn all_axes(shape: &Shape) -> Attr {
    Attr::Ints((0..shape.rank()).collect())
}

fn mean(graph: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId, String> {
    graph.try_push(
        Op::new(&reduce::MEAN, Attr::ints(axes)),
        [x].as_slice().into(),
    )
}

fn power(graph: &mut Graph, x: NodeId, n: u32) -> NodeId {
    match n {
        0 => {
            let shape = graph.shape(x).clone();
            graph.full(1.0, &shape)
        }
        1 => x,
        _ => {
            let half = power(graph, x, n / 2);
            let square = graph.map1(&ew::SQUARE, half);
            if n.is_multiple_of(2) {
                square
            } else {
                graph.mul(square, x)
            }
        }
    }
}
