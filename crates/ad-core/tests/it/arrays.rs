//! Products by indices, and parts of arrays: values by plain loops, derivatives by the checks.

use ad_core::{Error, Function, Var, check_hvp, einsum, stack_arrays};
use ndarray::{Array1, ArrayD, Axis, IxDyn, Slice, array};

type Map = for<'t> fn(Var<'t>) -> Var<'t>;

/// Numbers between −2 and 2 that do not repeat soon.
fn sample(len: usize) -> Array1<f64> {
    Array1::from_shape_fn(len, |i| ((i * 37 + 11) % 101) as f64 / 25.0 - 2.0)
}

/// The value of a function of one array, and its derivatives by the public checks.
fn checked(shape: &[usize], f: Map) -> Result<ArrayD<f64>, Error> {
    let n = shape.iter().product();
    let x = sample(n);
    let value = Function::<f64>::record(n, |x| f(x.reshape(shape)))?.evaluate(&x)?;
    // Slopes that differ from element to element, and curvature.
    let weights = sample(value.len()) + 0.4;
    let loss = Function::<f64>::record(n, |x| {
        let y = f(x.reshape(shape));
        (y.reshape(&[y.len()]).sin() * y.constant(&weights)).sum()
    })?;
    check_hvp(&loss, &x).unwrap();
    Ok(value)
}

fn close(found: &ArrayD<f64>, expected: &ArrayD<f64>, roundings: f64) {
    assert_eq!(found.shape(), expected.shape());
    for (found, expected) in found.iter().zip(expected) {
        let allowed = roundings * f64::EPSILON * expected.abs().max(1.0);
        assert!(
            (found - expected).abs() <= allowed,
            "{found}, not {expected}"
        );
    }
}

/// A specification evaluated by a loop over all letters.
fn by_loops(specification: &str, operands: &[ArrayD<f64>]) -> ArrayD<f64> {
    let (terms, result) = specification.split_once("->").unwrap();
    let terms: Vec<Vec<char>> = terms
        .split(',')
        .map(|term| term.chars().collect())
        .collect();
    let result: Vec<char> = result.chars().collect();
    let mut letters: Vec<(char, usize)> = Vec::new();
    for (term, operand) in terms.iter().zip(operands) {
        for (&letter, &size) in term.iter().zip(operand.shape()) {
            if !letters.iter().any(|known| known.0 == letter) {
                letters.push((letter, size));
            }
        }
    }
    let size = |letter: &char| letters.iter().find(|known| known.0 == *letter).unwrap().1;
    let dims: Vec<usize> = result.iter().map(size).collect();
    let mut out = ArrayD::zeros(IxDyn(&dims));
    let all: Vec<usize> = letters.iter().map(|letter| letter.1).collect();
    for index in ndarray::indices(IxDyn(&all)) {
        let place = |labels: &[char]| -> Vec<usize> {
            let at = |label: &char| letters.iter().position(|known| known.0 == *label).unwrap();
            labels.iter().map(|label| index[at(label)]).collect()
        };
        let factors = terms.iter().zip(operands);
        let product: f64 = factors
            .map(|(term, operand)| operand[IxDyn(&place(term))])
            .product();
        out[IxDyn(&place(&result))] += product;
    }
    out
}

#[test]
fn sums_of_products_by_their_letters() -> Result<(), Error> {
    let cases: [(&str, &[&[usize]]); 16] = [
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("ij,jk->ki", &[&[2, 3], &[3, 4]]),
        ("ij,ij->", &[&[2, 3], &[2, 3]]),
        ("ij,ij->ij", &[&[2, 3], &[2, 3]]),
        ("i,j->ij", &[&[2], &[3]]),
        ("ii->", &[&[3, 3]]),
        ("ii->i", &[&[3, 3]]),
        ("iij->ji", &[&[3, 3, 2]]),
        ("ij->", &[&[2, 3]]),
        ("ijk->kj", &[&[2, 3, 4]]),
        ("bij,bjk->bik", &[&[2, 3, 4], &[2, 4, 2]]),
        ("bij,bj->bi", &[&[2, 3, 4], &[2, 4]]),
        ("bij,jk->bik", &[&[2, 3, 4], &[4, 2]]),
        ("i,ij,j->", &[&[3], &[3, 2], &[2]]),
        ("ij,kj,k->i", &[&[2, 3], &[4, 3], &[4]]),
        ("abc,cd,bd->ad", &[&[2, 3, 2], &[2, 3], &[3, 3]]),
    ];
    for (specification, shapes) in cases {
        let lens: Vec<usize> = shapes.iter().map(|dims| dims.iter().product()).collect();
        let n = lens.iter().sum();
        let x = sample(n);
        let mut start = 0;
        let mut operands = Vec::new();
        for (dims, len) in shapes.iter().zip(&lens) {
            let part = x.slice(ndarray::s![start..start + len]).to_vec();
            operands.push(ArrayD::from_shape_vec(IxDyn(dims), part).unwrap());
            start += len;
        }
        let build = |loss: bool| {
            Function::<f64>::record(n, |x| {
                let parts = x.split(0, &lens);
                let parts: Vec<_> = parts
                    .iter()
                    .zip(shapes)
                    .map(|(p, s)| p.reshape(s))
                    .collect();
                let y = einsum(specification, &parts);
                if loss { y.sin().sum() } else { y }
            })
        };
        let expected = by_loops(specification, &operands);
        close(&build(false)?.evaluate(&x)?, &expected, 64.0);
        check_hvp(&build(true)?, &x).unwrap_or_else(|error| panic!("{specification}: {error}"));
    }
    Ok(())
}

#[test]
fn matrix_products_of_vectors_and_stacks() -> Result<(), Error> {
    type Dims = &'static [usize];
    let cases: [(Dims, Dims, Dims, &str); 8] = [
        (&[2, 3], &[3, 4], &[2, 4], "ij,jk->ik"),
        (&[2, 3], &[3], &[2], "ij,j->i"),
        (&[3], &[3, 4], &[4], "j,jk->k"),
        (&[3], &[3], &[], "j,j->"),
        (&[5, 2, 3], &[3, 4], &[5, 2, 4], "bij,jk->bik"),
        (&[2, 3], &[5, 3, 4], &[5, 2, 4], "ij,bjk->bik"),
        (&[5, 2, 3], &[5, 3, 4], &[5, 2, 4], "bij,bjk->bik"),
        (&[5, 6, 2, 3], &[3], &[5, 6, 2], "abij,j->abi"),
    ];
    for (a, b, shape, specification) in cases {
        let lens = [a.iter().product(), b.iter().product::<usize>()];
        let n = lens[0] + lens[1];
        let x = sample(n);
        let f = Function::<f64>::record(n, |x| {
            let parts = x.split(0, &lens);
            parts[0].reshape(a).matmul(parts[1].reshape(b))
        })?;
        assert_eq!(f.output_shape(), shape);
        let operands = [(a, 0..lens[0]), (b, lens[0]..n)].map(|(dims, range)| {
            let part = x.as_slice().unwrap()[range].to_vec();
            ArrayD::from_shape_vec(IxDyn(dims), part).unwrap()
        });
        close(&f.evaluate(&x)?, &by_loops(specification, &operands), 32.0);
    }
    let stacked = checked(&[2, 1, 3], |x| {
        let tall = x.tile(&[1, 4, 1]);
        x.matmul(tall.permute(&[0, 2, 1]))
    })?;
    assert_eq!(stacked.shape(), [2, 1, 4]);
    Ok(())
}

#[test]
fn parts_of_arrays() -> Result<(), Error> {
    let x = sample(12).into_shape_with_order((3, 4)).unwrap();
    let same = |f: Map, expected: ArrayD<f64>| -> Result<(), Error> {
        close(&checked(&[3, 4], f)?, &expected, 0.0);
        Ok(())
    };
    let reversed = |axis: usize, step: isize| {
        let mut view = x.view();
        view.slice_axis_inplace(Axis(axis), Slice::new(0, None, step));
        view.to_owned().into_dyn()
    };
    same(
        |x| x.take(1, &[3, 0, 3]),
        x.select(Axis(1), &[3, 0, 3]).into_dyn(),
    )?;
    same(|x| x.flip(0), reversed(0, -1))?;
    same(|x| x.every(1, 2), reversed(1, 2))?;
    same(|x| x.every(1, -3), reversed(1, -3))?;
    same(
        |x| x.roll(1, 1),
        x.select(Axis(1), &[3, 0, 1, 2]).into_dyn(),
    )?;
    same(|x| x.roll(0, -1), x.select(Axis(0), &[1, 2, 0]).into_dyn())?;
    same(|x| x.roll(0, 3), x.clone().into_dyn())?;
    same(
        |x| x.split(1, &[1, 3])[1],
        x.select(Axis(1), &[1, 2, 3]).into_dyn(),
    )?;
    same(
        |x| x.tile(&[1, 2]),
        x.select(Axis(1), &[0, 1, 2, 3, 0, 1, 2, 3]).into_dyn(),
    )?;
    same(
        |x| x.diagonal(),
        array![x[[0, 0]], x[[1, 1]], x[[2, 2]]].into_dyn(),
    )?;
    let masked = |kept: fn(usize, usize) -> bool| {
        let mut y = x.clone();
        y.indexed_iter_mut().for_each(|((i, j), y)| {
            if !kept(i, j) {
                *y = 0.0
            }
        });
        y.into_dyn()
    };
    same(|x| x.lower_triangle(0), masked(|i, j| j <= i))?;
    same(|x| x.upper_triangle(1), masked(|i, j| j > i))?;
    same(|x| x.lower_triangle(-1), masked(|i, j| j < i))?;
    let mut padded = ndarray::Array2::zeros((6, 4));
    padded.slice_mut(ndarray::s![1..4, ..]).assign(&x);
    same(|x| x.pad(0, 1, 2), padded.into_dyn())?;
    let mut added = ndarray::Array2::zeros((3, 2));
    for j in 0..4 {
        for i in 0..3 {
            added[[i, [1, 0, 1, 1][j]]] += x[[i, j]];
        }
    }
    same(|x| x.scatter_add(1, &[1, 0, 1, 1], 2), added.into_dyn())?;
    let both = ndarray::stack(Axis(1), &[x.view(), (&x * 2.0).view()]).unwrap();
    same(|x| stack_arrays(1, &[x, x * 2.0]), both.into_dyn())?;
    let square = checked(&[3], |x| x.diagonal())?;
    close(
        &square,
        &ndarray::Array2::from_diag(&sample(3)).into_dyn(),
        0.0,
    );
    Ok(())
}

#[test]
fn variables_are_summed_and_assigned_like_numbers() -> Result<(), Error> {
    let f = Function::<f64>::record_scalars(3, |x| {
        let mut y = x[0];
        y *= x[1];
        y -= 1.0;
        y /= 2.0;
        y += x.iter().copied().sum::<Var<'_>>();
        y * x.iter().copied().product::<Var<'_>>()
    })?;
    // ((2·3 − 1)/2 + 9)·24
    assert_eq!(
        f.evaluate(&[2.0, 3.0, 4.0])?,
        ndarray::arr0(276.0).into_dyn()
    );
    Ok(())
}

/// Few numbers repeated so often that their positions have no number, or no room.
#[test]
fn positions_without_end_are_recording_errors() {
    const LONG: usize = 1 << 33;
    let cases: [Map; 6] = [
        |x| x.broadcast_to(&[LONG, 6]).flip(0),
        |x| x.broadcast_to(&[LONG, 6]).every(0, 2),
        |x| x.broadcast_to(&[LONG, 6]).take(0, &[LONG - 1]),
        |x| x.broadcast_to(&[1 << 14, 6]).reshape(&[6 << 14]).diagonal(),
        |x| einsum("iij->j", &[x.broadcast_to(&[1 << 17, 1 << 17, 6])]),
        |x| x.at(0).broadcast_to(&[1 << 17, 1 << 17]).lower_triangle(0),
    ];
    for f in cases {
        let text = Function::<f64>::record(6, f).unwrap_err().to_string();
        assert!(text.contains("positions among"), "{text}");
    }
}

#[test]
fn wrong_positions_and_letters_are_recording_errors() {
    let cases: [(Map, &str); 10] = [
        (|x| x.take(0, &[6]), "position 6 of an axis of size 6"),
        (|x| x.take(1, &[0]), "axis 1 of the shape [6]"),
        (
            |x| x.scatter_add(0, &[0, 1], 3),
            "2 positions for 6 elements",
        ),
        (|x| x.every(0, 0), "a step of 0"),
        (
            |x| x.split(0, &[2, 3])[0],
            "parts [2, 3] of axis 0 of the shape [6]",
        ),
        (|x| x.tile(&[2, 2]), "repetitions [2, 2] of the shape [6]"),
        (|x| x.lower_triangle(0), "a triangle of the shape [6]"),
        (
            |x| einsum("i,i->ij", &[x, x]),
            "repeats or invents a letter",
        ),
        (
            |x| einsum("ij->i", &[x]),
            "`ij` for an operand of the shape [6]",
        ),
        (
            |x| einsum("i,i->", &[x, x.slice(0, 0..2)]),
            "`i` has the sizes 6 and 2",
        ),
    ];
    for (f, expected) in cases {
        let text = Function::<f64>::record(6, f).unwrap_err().to_string();
        assert!(
            text.contains(expected) && text.contains("arrays.rs"),
            "{text}"
        );
    }
}
