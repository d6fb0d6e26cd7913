//! Matrices with known spectra and functions with known minima.

use std::cell::Cell;

use hvp_solvers::{LinearOperator, Objective, SecondOrder};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) const EPS: f64 = f64::EPSILON;

pub(crate) fn normal(n: usize, seed: u64) -> Array1<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array1::from_shape_fn(n, |_| StandardNormal.sample(&mut rng))
}

pub(crate) fn norm(x: ArrayView1<'_, f64>) -> f64 {
    hvp_solvers::vector::norm2(&x.to_vec())
}

/// A product of three random reflections.
pub(crate) fn orthogonal(n: usize, seed: u64) -> Array2<f64> {
    (0..3).fold(Array2::eye(n), |q, s| {
        let v = normal(n, 1000 * seed + s);
        let v = &v / norm(v.view()).max(f64::MIN_POSITIVE);
        let column = v.view().insert_axis(ndarray::Axis(1));
        (Array2::eye(n) - 2.0 * column.dot(&column.t())).dot(&q)
    })
}

/// `Q diag(spectrum) Qᵀ` with `Q` a product of three random reflections.
pub(crate) fn with_spectrum(spectrum: &Array1<f64>, seed: u64) -> Array2<f64> {
    let n = spectrum.len();
    let mut a = Array2::from_diag(spectrum);
    for s in 0..3 {
        let v = normal(n, 1000 * seed + s);
        let v = &v / norm(v.view()).max(f64::MIN_POSITIVE);
        let column = v.view().insert_axis(ndarray::Axis(1));
        let reflect = Array2::eye(n) - 2.0 * column.dot(&column.t());
        a = reflect.dot(&a).dot(&reflect);
    }
    (&a + &a.t()) / 2.0
}

pub(crate) fn product(a: &impl LinearOperator<f64>, x: ArrayView1<'_, f64>) -> Array1<f64> {
    let mut y = Array1::zeros(x.len());
    a.apply_into(x, y.view_mut());
    y
}

/// A function by its value, gradient and dense Hessian.
#[derive(Clone)]
pub(crate) struct Smooth {
    pub(crate) n: usize,
    pub(crate) f: fn(&[f64]) -> f64,
    pub(crate) g: fn(&[f64]) -> Vec<f64>,
    pub(crate) h: fn(&[f64]) -> Array2<f64>,
    at: Array2<f64>,
}

impl Smooth {
    pub(crate) fn new(
        n: usize,
        f: fn(&[f64]) -> f64,
        g: fn(&[f64]) -> Vec<f64>,
        h: fn(&[f64]) -> Array2<f64>,
    ) -> Self {
        Self {
            n,
            f,
            g,
            h,
            at: Array2::zeros((n, n)),
        }
    }
}

impl Objective<f64> for Smooth {
    fn dim(&self) -> usize {
        self.n
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        (self.f)(&x.to_vec())
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        grad.assign(&Array1::from_vec((self.g)(&x.to_vec())));
        self.value(x)
    }
}

impl SecondOrder<f64> for Smooth {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.at = (self.h)(&x.to_vec());
        self.value_and_grad(x, grad)
    }
    fn hvp_into(&self, v: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        out.assign(&self.at.dot(&v));
    }
}

/// `100 (y − x²)² + (1 − x)²`, minimum 0 at (1, 1).
pub(crate) fn rosenbrock() -> Smooth {
    Smooth::new(
        2,
        |x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2),
        |x| {
            let t = x[1] - x[0] * x[0];
            vec![-400.0 * x[0] * t - 2.0 * (1.0 - x[0]), 200.0 * t]
        },
        |x| {
            ndarray::array![
                [1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0, -400.0 * x[0]],
                [-400.0 * x[0], 200.0]
            ]
        },
    )
}

/// Powell's function, minimum 0 at 0 with a singular Hessian.
pub(crate) fn powell_singular() -> Smooth {
    Smooth::new(
        4,
        |x| {
            (x[0] + 10.0 * x[1]).powi(2)
                + 5.0 * (x[2] - x[3]).powi(2)
                + (x[1] - 2.0 * x[2]).powi(4)
                + 10.0 * (x[0] - x[3]).powi(4)
        },
        |x| {
            let (a, b) = (x[0] + 10.0 * x[1], x[2] - x[3]);
            let (c, d) = ((x[1] - 2.0 * x[2]).powi(3), (x[0] - x[3]).powi(3));
            vec![
                2.0 * a + 40.0 * d,
                20.0 * a + 4.0 * c,
                10.0 * b - 8.0 * c,
                -10.0 * b - 40.0 * d,
            ]
        },
        |x| {
            let c = 12.0 * (x[1] - 2.0 * x[2]).powi(2);
            let d = 120.0 * (x[0] - x[3]).powi(2);
            ndarray::array![
                [2.0 + d, 20.0, 0.0, -d],
                [20.0, 200.0 + c, -2.0 * c, 0.0],
                [0.0, -2.0 * c, 10.0 + 4.0 * c, -10.0],
                [-d, 0.0, -10.0, 10.0 + d]
            ]
        },
    )
}

/// `x⁴/4 − x²/2 + y²/2`: a saddle at 0, minima −¼ at (±1, 0).
pub(crate) fn double_well() -> Smooth {
    Smooth::new(
        2,
        |x| x[0].powi(4) / 4.0 - x[0].powi(2) / 2.0 + x[1].powi(2) / 2.0,
        |x| vec![x[0].powi(3) - x[0], x[1]],
        |x| ndarray::array![[3.0 * x[0] * x[0] - 1.0, 0.0], [0.0, 1.0]],
    )
}

/// What is spoiled, from which call on (counted from 0), for how many calls, by what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) bad: f64,
}

impl Fault {
    pub(crate) const NONE: Fault = Fault {
        first: usize::MAX,
        count: 0,
        bad: 0.0,
    };

    fn hits(&self, call: &Cell<usize>) -> bool {
        let now = call.get();
        call.set(now + 1);
        now >= self.first && now - self.first < self.count
    }
}

/// An objective whose values, gradients or products turn bad.
pub(crate) struct Faulty<O> {
    pub(crate) inner: O,
    pub(crate) value: Fault,
    pub(crate) gradient: Fault,
    pub(crate) product: Fault,
    calls: [Cell<usize>; 3],
}

impl<O> Faulty<O> {
    pub(crate) fn new(inner: O, value: Fault, gradient: Fault, product: Fault) -> Self {
        Self {
            inner,
            value,
            gradient,
            product,
            calls: Default::default(),
        }
    }

    /// Values, gradients and products given out so far.
    pub(crate) fn calls(&self) -> [usize; 3] {
        [0, 1, 2].map(|i| self.calls[i].get())
    }
}

impl<O: Objective<f64>> Objective<f64> for Faulty<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        let value = self.inner.value(x);
        if self.value.hits(&self.calls[0]) {
            self.value.bad
        } else {
            value
        }
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.inner.value_and_grad(x, grad)
    }
}

impl<O: SecondOrder<f64>> SecondOrder<f64> for Faulty<O> {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        let value = self.inner.linearize(x, grad.view_mut());
        if self.gradient.hits(&self.calls[1]) {
            let last = grad.len() - 1;
            grad[last] = self.gradient.bad;
        }
        if self.value.hits(&self.calls[0]) {
            self.value.bad
        } else {
            value
        }
    }
    fn hvp_into(&self, v: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        self.inner.hvp_into(v, out.view_mut());
        if self.product.hits(&self.calls[2]) {
            out[0] = self.product.bad;
        }
    }
}

/// An operator whose products turn bad.
pub(crate) struct FaultyOperator<A> {
    inner: A,
    fault: Fault,
    calls: Cell<usize>,
}

impl<A> FaultyOperator<A> {
    pub(crate) fn new(inner: A, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            calls: Cell::new(0),
        }
    }

    /// Products so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl<A: LinearOperator<f64>> LinearOperator<f64> for FaultyOperator<A> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn apply_into(&self, x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>) {
        self.inner.apply_into(x, y.view_mut());
        if self.fault.hits(&self.calls) {
            y[0] = self.fault.bad;
        }
    }
}

/// The same, written out as text and read back.
pub(crate) fn stored<S: Serialize + DeserializeOwned>(state: &S) -> S {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

/// Carries a solve on in parts of so many iterations, each from text, until `advance` says that it
/// has ended.
pub(crate) fn in_parts<S: Serialize + DeserializeOwned>(
    mut state: S,
    part: usize,
    mut advance: impl FnMut(&mut S, usize) -> bool,
) -> S {
    advance(&mut state, part);
    loop {
        state = stored(&state);
        if advance(&mut state, part.max(1)) {
            return state;
        }
    }
}

/// Copies of a state of which one list of numbers each is an entry too short or too long, with
/// the place of that list; without those that cannot be read at all.
pub(crate) fn misfits<S: Serialize + DeserializeOwned>(state: &S) -> Vec<(String, S)> {
    let value = serde_json::to_value(state).unwrap();
    let mut lists = Vec::new();
    find_lists(&value, "", &mut lists);
    let mut all = Vec::new();
    for (place, shorter) in lists
        .iter()
        .flat_map(|place| [(place, true), (place, false)])
    {
        let mut value = value.clone();
        let list = value.pointer_mut(place).unwrap().as_array_mut().unwrap();
        if shorter {
            list.pop();
        } else {
            list.push(list[0].clone());
        }
        if let Ok(state) = serde_json::from_value(value) {
            all.push((place.clone(), state));
        }
    }
    all
}

fn find_lists(value: &Value, place: &str, lists: &mut Vec<String>) {
    match value {
        Value::Array(items) if items.first().is_some_and(|x| x.is_u64() || x.is_boolean()) => {
            lists.push(place.to_owned());
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                find_lists(item, &format!("{place}/{i}"), lists);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                find_lists(field, &format!("{place}/{name}"), lists);
            }
        }
        _ => {}
    }
}

/// An objective that counts what is asked of it, and keeps the least value that came with a
/// gradient.
pub(crate) struct Counting<O> {
    pub(crate) inner: O,
    pub(crate) n_values: u64,
    pub(crate) n_products: Cell<u64>,
    pub(crate) least: f64,
}

impl<O> Counting<O> {
    pub(crate) fn new(inner: O) -> Self {
        Self {
            inner,
            n_values: 0,
            n_products: Cell::new(0),
            least: f64::INFINITY,
        }
    }
}

impl<O: Objective<f64>> Objective<f64> for Counting<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        self.n_values += 1;
        self.inner.value(x)
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.n_values += 1;
        let value = self.inner.value_and_grad(x, grad);
        self.least = self.least.min(value);
        value
    }
}

impl<O: SecondOrder<f64>> SecondOrder<f64> for Counting<O> {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.n_values += 1;
        let value = self.inner.linearize(x, grad);
        self.least = self.least.min(value);
        value
    }
    fn hvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.n_products.set(self.n_products.get() + 1);
        self.inner.hvp_into(v, out);
    }
    fn has_gauss_newton(&self) -> bool {
        self.inner.has_gauss_newton()
    }
    fn ggnvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.n_products.set(self.n_products.get() + 1);
        self.inner.ggnvp_into(v, out);
    }
    fn has_curvature_batches(&self) -> bool {
        self.inner.has_curvature_batches()
    }
    fn select_curvature_batch(&mut self, index: u64) {
        self.inner.select_curvature_batch(index);
    }
    fn curvature_value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        self.n_values += 1;
        self.inner.curvature_value(x)
    }
}
