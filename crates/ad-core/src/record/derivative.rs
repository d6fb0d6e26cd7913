//! Derivatives inside of a recording: of a closure, at a variable, as variables.

use super::Var;
use crate::graph::{Graph, NodeId};
use crate::shape::{MAX_RECORDED, Shape};
use crate::transform::{batch_within, check_stack, directional, jvp, vjp};

impl<'t> Var<'t> {
    /// The gradient of a scalar function at this variable: ∇f(x), of the shape of x.
    ///
    /// `f` may read other variables of the recording; they are held fixed. The result is a variable
    /// like any other, of which derivatives can be taken again, inside of the recording or by the
    /// recorded [`Function`](crate::Function). Cost when run: 2–3 evaluations of f.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// // A gradient penalty: ‖∇g‖² of g = Σ x³, whose gradient is 4·9·x³.
    /// let penalty = Function::<f64>::record(2, |x| {
    ///     x.grad(|x| x.powi(3).sum()).square().sum()
    /// })?;
    /// assert_eq!(penalty.value(&[1.0, 2.0])?, 9.0 + 144.0);
    /// assert_eq!(penalty.gradient(&[1.0, 2.0])?, array![36.0, 288.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// A result of `f` that is not one number is a recording error at the caller's line.
    #[track_caller]
    #[must_use]
    pub fn grad(self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> Self {
        self.value_and_grad(f).1
    }

    /// f(x) and ∇f(x); see [`Self::grad`].
    #[track_caller]
    #[must_use]
    pub fn value_and_grad(self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> (Self, Self) {
        let x = self.as_variable();
        let y = f(x);
        let gradient = self.recorder.build("grad", |graph| {
            scalar_of(graph, x, y)?;
            Ok(gradient(graph, y.id, x.id))
        });
        (y, gradient)
    }

    /// f(x) and the derivative along a tangent, J·v: of the shape of f(x), with v of the shape of
    /// x. Forward mode; cost when run: about two evaluations of f.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// // d/dx sin(2x) = 2 cos(2x) for each element.
    /// let slope = Function::<f64>::record(2, |x| {
    ///     let (_, slope) = x.jvp(x.ones_like(), |x| (x * 2.0).sin());
    ///     slope
    /// })?;
    /// assert_eq!(slope.evaluate(&[0.0, 1.0])?, array![2.0, 2.0 * 2.0_f64.cos()].into_dyn());
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn jvp(self, v: Self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> (Self, Self) {
        let x = self.as_variable();
        let y = f(x);
        let tangent = self.recorder.build("jvp", |graph| {
            x.same_recording(y)?;
            x.tangent_fits(graph, v)?;
            let tangent = jvp(graph, &[y.id], &[(x.id, v.id)])[0];
            Ok(or_zeros(graph, tangent, y.id))
        });
        (y, tangent)
    }

    /// f(x) and the cotangent of x, Jᵀ·u: of the shape of x, with u of the shape of f(x), made by
    /// `cotangent` from f(x). Reverse mode; cost when run: 2–3 evaluations of f.
    #[track_caller]
    #[must_use]
    pub fn vjp(
        self,
        f: impl FnOnce(Var<'t>) -> Var<'t>,
        cotangent: impl FnOnce(Var<'t>) -> Var<'t>,
    ) -> (Self, Self) {
        let x = self.as_variable();
        let y = f(x);
        let u = cotangent(y);
        let result = self.recorder.build("vjp", |graph| {
            x.same_recording(y)?;
            x.same_recording(u)?;
            if graph.shape(u.id) != graph.shape(y.id) {
                return Err(format!(
                    "a cotangent of the shape {} for a result of the shape {}",
                    graph.shape(u.id),
                    graph.shape(y.id)
                ));
            }
            let result = vjp(graph, &[(y.id, u.id)], &[x.id])[0];
            Ok(or_zeros(graph, result, x.id))
        });
        (y, result)
    }

    /// The product of the Hessian of a scalar function at this variable with v, of the shape of x,
    /// by forward over reverse. Cost when run: about two gradients of f.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// // The Hessian of Σ x⁴ is 12x² on the diagonal.
    /// let product = Function::<f64>::record(2, |x| x.hvp(x.ones_like(), |x| x.powi(4).sum()))?;
    /// assert_eq!(product.evaluate(&[1.0, 2.0])?, array![12.0, 48.0].into_dyn());
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn hvp(self, v: Self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> Self {
        let x = self.as_variable();
        let y = f(x);
        self.recorder.build("hvp", |graph| {
            scalar_of(graph, x, y)?;
            x.tangent_fits(graph, v)?;
            let gradient = gradient(graph, y.id, x.id);
            let product = jvp(graph, &[gradient], &[(x.id, v.id)])[0];
            Ok(or_zeros(graph, product, x.id))
        })
    }

    /// The Jacobian of a function at this variable, of the shape of f(x) followed by that of x:
    /// column by column in one pass over a stack of unit tangents, or row by row over unit
    /// cotangents, whichever are fewer.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// let jacobian = Function::<f64>::record(2, |x| {
    ///     x.jacobian(|x| ad_core::stack(&[x.at(0) * x.at(1), x.at(0), x.at(1).square()]))
    /// })?;
    /// let expected = array![[3.0, 2.0], [1.0, 0.0], [0.0, 6.0]];
    /// assert_eq!(jacobian.evaluate(&[2.0, 3.0])?, expected.into_dyn());
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn jacobian(self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> Self {
        let x = self.as_variable();
        let y = f(x);
        self.recorder.build("jacobian", |graph| {
            x.same_recording(y)?;
            jacobian(graph, y.id, x.id)
        })
    }

    /// The derivatives of t ↦ f(x + t·v) at t = 0, from the value itself to the one of `order`:
    /// f(x), f′·v, f″(v, v), … Each has the shape of f(x).
    ///
    /// By Taylor coefficients, from the same rules as all derivatives; the cost when run grows like
    /// the square of the order.
    ///
    /// ```
    /// use ad_core::Function;
    /// // All derivatives of eˣ are eˣ.
    /// let sixth = Function::<f64>::record_scalars(1, |x| {
    ///     x[0].directional_derivatives(x[0].ones_like(), 6, |x| x.exp())[6]
    /// })?;
    /// assert!((sixth.value(&[0.0])? - 1.0).abs() < 8.0 * f64::EPSILON);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn directional_derivatives(
        self,
        v: Self,
        order: usize,
        f: impl FnOnce(Var<'t>) -> Var<'t>,
    ) -> Vec<Self> {
        let x = self.as_variable();
        let y = f(x);
        let mut derivatives = Vec::new();
        let zero = self.recorder.build("directional_derivatives", |graph| {
            x.same_recording(y)?;
            x.tangent_fits(graph, v)?;
            derivatives = directional(graph, y.id, (x.id, v.id), order);
            let shape = graph.shape(y.id).clone();
            Ok(graph.full(0.0, &shape))
        });
        // After an error the recording goes on with the placeholder.
        derivatives.resize(order, None);
        let mut all = vec![y];
        all.extend(derivatives.iter().map(|id| Var {
            recorder: self.recorder,
            id: id.unwrap_or(zero.id),
        }));
        all
    }

    /// f of each slice along the first axis, the results stacked along a new first axis: `f` is
    /// recorded once, for a variable without that axis, and run for all slices at once.
    ///
    /// With a derivative inside, these are gradients, products or Jacobians per sample.
    ///
    /// ```
    /// use ad_core::{Function, Point};
    /// use ndarray::array;
    /// // The gradient in w of ½⟨w, xᵢ⟩² for each row xᵢ: ⟨w, xᵢ⟩ xᵢ.
    /// let per_row = Function::<f64>::record_with_data(2, &[&[3, 2]], |w, data| {
    ///     data[0].map_rows(|row| w.grad(|w| 0.5 * w.dot(row).square()))
    /// })?;
    /// let rows = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
    /// let data = [rows.view().into_dyn()];
    /// let at = Point::with_data(&[2.0, 3.0], &data);
    /// let expected = array![[2.0, 0.0], [0.0, 3.0], [5.0, 5.0]];
    /// assert_eq!(per_row.evaluate(at)?, expected.into_dyn());
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn map_rows(self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> Self {
        let shape = self.dims();
        let Some((&count, row)) = shape.dims().split_first() else {
            return self.recorder.build("map_rows", |_| {
                Err("a number has no axis to map over".to_owned())
            });
        };
        let row = Shape::new(row);
        let one = self
            .recorder
            .build("map_rows", |graph| Ok(graph.placeholder(&row)));
        let result = f(one);
        self.recorder.build("map_rows", |graph| {
            self.same_recording(result)?;
            check_stack(graph, &[result.id], count)?;
            Ok(batch_within(graph, &[result.id], &[(one.id, self.id)], count)[0])
        })
    }

    /// Ones of the same shape.
    #[track_caller]
    #[must_use]
    pub fn ones_like(self) -> Self {
        let shape = self.dims();
        self.recorder
            .build("ones_like", |graph| Ok(graph.full(1.0, &shape)))
    }

    /// Zeros of the same shape.
    #[track_caller]
    #[must_use]
    pub fn zeros_like(self) -> Self {
        let shape = self.dims();
        self.recorder
            .build("zeros_like", |graph| Ok(graph.full(0.0, &shape)))
    }

    /// This variable as one that derivatives can be taken with respect to.
    #[track_caller]
    fn as_variable(self) -> Self {
        self.recorder
            .build("variable", |graph| Ok(graph.variable(self.id)))
    }

    fn tangent_fits(self, graph: &Graph, v: Self) -> Result<(), String> {
        self.same_recording(v)?;
        let (x, v) = (graph.shape(self.id), graph.shape(v.id));
        if x == v {
            Ok(())
        } else {
            Err(format!("a tangent of the shape {v} for a variable of {x}"))
        }
    }
}

fn scalar_of(graph: &Graph, x: Var<'_>, y: Var<'_>) -> Result<(), String> {
    x.same_recording(y)?;
    let shape = graph.shape(y.id);
    if shape.rank() == 0 {
        Ok(())
    } else {
        Err(format!(
            "a scalar function was expected, but its result has the shape {shape}"
        ))
    }
}

fn or_zeros(graph: &mut Graph, value: Option<NodeId>, like: NodeId) -> NodeId {
    value.unwrap_or_else(|| {
        let shape = graph.shape(like).clone();
        graph.full(0.0, &shape)
    })
}

fn gradient(graph: &mut Graph, y: NodeId, x: NodeId) -> NodeId {
    let one = graph.scalar(1.0);
    let gradient = vjp(graph, &[(y, one)], &[x])[0];
    or_zeros(graph, gradient, x)
}

/// ∂y/∂x, of the shape of y followed by that of x.
fn jacobian(graph: &mut Graph, y: NodeId, x: NodeId) -> Result<NodeId, String> {
    let (rows, columns) = (graph.shape(y).clone(), graph.shape(x).clone());
    let both: Vec<usize> = [rows.dims(), columns.dims()].concat();
    let both = Shape::new(&both).check(MAX_RECORDED)?;
    let (n_rows, n_columns) = (rows.len(), columns.len());
    let forward = n_columns <= n_rows;
    let (seeded, n_seeds) = if forward {
        (&columns, n_columns)
    } else {
        (&rows, n_rows)
    };
    let seed = graph.placeholder(seeded);
    let derivative = if forward {
        jvp(graph, &[y], &[(x, seed)])[0]
    } else {
        vjp(graph, &[(y, seed)], &[x])[0]
    };
    let Some(derivative) = derivative else {
        return Ok(graph.full(0.0, &both));
    };
    check_stack(graph, &[derivative], n_seeds)?;
    let units = graph.try_unit_vectors(n_seeds)?;
    let units = graph.reshape(units, &seeded.prefixed(n_seeds));
    let stack = batch_within(graph, &[derivative], &[(seed, units)], n_seeds)[0];
    if !forward {
        return Ok(graph.reshape(stack, &both));
    }
    let matrix = graph.reshape(stack, &Shape::new(&[n_columns, n_rows]));
    let matrix = graph.permute(matrix, &[1, 0]);
    Ok(graph.reshape(matrix, &both))
}
