//! First and second derivatives of every elementwise function over the whole range of numbers, against
//! multiple-precision values (`tests/reference/derivatives.py` writes them from closed forms).

use ad_core::{Function, Real, Var};
use ndarray::Array1;

const FILE: &str = include_str!("../reference/derivatives.txt");

/// Each function is right to 2 ulp; a second derivative is a product of three or four such numbers.
const BOUND: f64 = 8.0;

/// The samples of one function: arguments, then exact derivatives, rounded to `f64`.
struct Section {
    name: String,
    constant: f64,
    single: bool,
    rows: Vec<Vec<f64>>,
}

fn sections() -> Vec<Section> {
    let number = |hex: &str| f64::from_bits(u64::from_str_radix(hex, 16).unwrap());
    let mut all: Vec<Section> = Vec::new();
    for line in FILE.lines() {
        if let Some(head) = line.strip_prefix("# ") {
            let words: Vec<_> = head.split(' ').collect();
            all.push(Section {
                name: words[0].to_string(),
                constant: number(words[1]),
                single: words[2] == "f32",
                rows: Vec::new(),
            });
            continue;
        }
        let row = line.split(' ').map(number).collect();
        all.last_mut().unwrap().rows.push(row);
    }
    all
}

fn unary<'t>(name: &str, c: f64, x: Var<'t>) -> Var<'t> {
    match name {
        "exp" => x.exp(),
        "exp_m1" => x.exp_m1(),
        "tanh" => x.tanh(),
        "sigmoid" => x.sigmoid(),
        "softplus" => x.softplus(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "square" => x.square(),
        "sqrt" => x.sqrt(),
        "ln" => x.ln(),
        "ln_1p" => x.ln_1p(),
        "recip" => x.recip(),
        "recip_of_square" => 1.0 / (x * x),
        "quotient_by_square" => 3.0 / x.square(),
        "ln_of_recip" => (1.0 / x).ln(),
        "powf" => x.powf(c),
        "powi" => x.powi(c as i32),
        _ => panic!("no function {name}"),
    }
}

fn binary<'t>(name: &str, x: Var<'t>, y: Var<'t>) -> Var<'t> {
    match name {
        "atan2" => x.atan2(y),
        "div" => x / y,
        "hypot" => x.hypot(y),
        _ => panic!("no function {name}"),
    }
}

/// The error in ulps of the type, and whether the exact value is a normal number of it.
fn ulps<T: Real>(found: T, exact: f64) -> (f64, bool) {
    let (smallest, largest) = (T::min_positive_value().as_f64(), T::max_value().as_f64());
    if !(exact.abs() >= smallest && exact.abs() <= largest) {
        return (0.0, false);
    }
    let power = 2.0_f64.powi(exact.abs().log2().floor() as i32);
    let ulp = T::epsilon().as_f64();
    // Scaled before it is subtracted: an ulp of the smallest numbers is subnormal.
    ((found.as_f64() / power - exact / power).abs() / ulp, true)
}

/// The worst error seen of each section.
#[derive(Default)]
struct Report {
    failures: Vec<String>,
    compared: usize,
}

impl Report {
    fn note<T: Real>(&mut self, what: &str, row: &[f64], found: T, exact: f64) {
        let (error, normal) = ulps(found, exact);
        self.compared += usize::from(normal);
        if error.is_nan() || error > BOUND {
            let found = found.as_f64();
            self.failures.push(format!(
                "{what} at {row:?}: {found:e}, not {exact:e}: {error:.1} ulp"
            ));
        }
    }
}

/// In one program over all samples, so that vector loops are seen.
fn check_unary<T: Real>(section: &Section, report: &mut Report) {
    let (n, name) = (section.rows.len(), section.name.as_str());
    let f = Function::<T>::record(n, |x| unary(name, section.constant, x).sum()).unwrap();
    let x: Array1<T> = section.rows.iter().map(|row| T::of(row[0])).collect();
    let ones = Array1::from_elem(n, T::one());
    let gradient = f.gradient(&x).unwrap();
    let products = [
        ("f''", f.hvp(&x, ones.view()).unwrap()),
        (
            "f'' linearized",
            f.linearize(&x).unwrap().hvp(ones.view()).unwrap(),
        ),
    ];
    let label = |what: &str| format!("{} {} {}: {what}", T::NAME, name, section.constant);
    for (at, row) in section.rows.iter().enumerate() {
        report.note(&label("f'"), &row[..1], gradient[at], row[1]);
        for (what, product) in &products {
            report.note(&label(what), &row[..1], product[at], row[2]);
        }
    }
}

/// Point by point, as scalar code.
fn check_binary<T: Real>(section: &Section, report: &mut Report) {
    let name = section.name.as_str();
    let f = Function::<T>::record_scalars(2, |x| binary(name, x[0], x[1])).unwrap();
    let label = |what: &str| format!("{} {name}: {what}", T::NAME);
    for row in &section.rows {
        let x = [T::of(row[0]), T::of(row[1])];
        let gradient = f.gradient(&x).unwrap();
        let columns = [[T::one(), T::zero()], [T::zero(), T::one()]]
            .map(|unit| f.hvp(&x, Array1::from(unit.to_vec()).view()).unwrap());
        let found = [
            ("f_x", gradient[0]),
            ("f_y", gradient[1]),
            ("f_xx", columns[0][0]),
            ("f_xy", columns[0][1]),
            ("f_yy", columns[1][1]),
        ];
        for ((what, found), &exact) in found.into_iter().zip(&row[2..]) {
            report.note(&label(what), &row[..2], found, exact);
        }
    }
}

#[test]
fn first_and_second_derivatives_keep_their_digits_over_the_whole_range() {
    let mut report = Report::default();
    for section in sections() {
        let two = section.rows[0].len() == 7;
        match (two, section.single) {
            (false, false) => check_unary::<f64>(&section, &mut report),
            (false, true) => check_unary::<f32>(&section, &mut report),
            (true, false) => check_binary::<f64>(&section, &mut report),
            (true, true) => check_binary::<f32>(&section, &mut report),
        }
    }
    let (failures, compared) = (&report.failures, report.compared);
    assert!(
        failures.is_empty(),
        "{} of {compared}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(compared > 5000, "{compared} derivatives are normal numbers");
}

/// The tails that formulas in terms of the value lose: 1 − tanh², σ(1 − σ), y + 1.
#[test]
fn tails_of_derivatives_are_not_lost() {
    type Record = fn(Var<'_>) -> Var<'_>;
    let cases: [(Record, f64, bool, f64); 5] = [
        (|x| x.exp_m1(), -40.0, false, 4.248354255291589e-18),
        (|x| x.tanh(), 20.0, false, 1.6993417021166355e-17),
        (|x| x.sigmoid(), 40.0, false, 4.248354255291589e-18),
        (|x| x.softplus(), 40.0, true, 4.248354255291589e-18),
        (|x| x.exp_m1(), -30.0, false, 9.357622968840175e-14),
    ];
    for (f, x, second, exact) in cases {
        let f = Function::<f64>::record_scalars(1, |v| f(v[0])).unwrap();
        let found = if second {
            f.hvp(&[x], Array1::ones(1).view()).unwrap()[0]
        } else {
            f.gradient(&[x]).unwrap()[0]
        };
        assert!(
            (found - exact).abs() <= 8.0 * f64::EPSILON * exact,
            "{found:e}"
        );
    }
    let f = Function::<f32>::record_scalars(1, |v| v[0].tanh()).unwrap();
    let found = f64::from(f.gradient(&[9.0]).unwrap()[0]);
    assert!((found - 6.091991712e-8).abs() <= 8.0 * f64::from(f32::EPSILON) * found);
}

/// Values do not depend on whether a program needs the derivative as well.
#[test]
fn values_have_the_same_bits_with_and_without_a_gradient() {
    let x: Vec<f64> = (-300..300).map(|i| f64::from(i) * 0.13).collect();
    for sigmoid in [false, true] {
        let f = Function::<f64>::record(x.len(), |x| {
            let y = if sigmoid { x.sigmoid() } else { x.tanh() };
            (y * y).sum()
        })
        .unwrap();
        let value = f.value(&x).unwrap();
        assert_eq!(value.to_bits(), f.value_and_grad(&x).unwrap().0.to_bits());
        assert_eq!(value.to_bits(), f.linearize(&x).unwrap().value().to_bits());
    }
}
