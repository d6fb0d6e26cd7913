//! Sample operands of every primitive: ranks, sizes around those of blocks and registers, views,
//! broadcasts, stacks, ties.

use super::case::{Case, Draw, Operand, Via};
use crate::ops::elementwise::{self, Elementwise};
use crate::ops::{Attr, Primitive};

fn whole(dims: &'static [usize]) -> Operand {
    Operand {
        dims,
        via: Via::Direct,
    }
}

fn permuted(dims: &'static [usize], axes: &'static [usize]) -> Operand {
    Operand {
        dims,
        via: Via::Permuted(axes),
    }
}

fn broadcast(dims: &'static [usize], to: &'static [usize]) -> Operand {
    Operand {
        dims,
        via: Via::Broadcast(to),
    }
}

fn sliced(dims: &'static [usize], axis: usize, start: usize, len: usize) -> Operand {
    Operand {
        dims,
        via: Via::Sliced(axis, start, len),
    }
}

impl Operand {
    /// The operand's shape.
    fn view_dims(&self) -> &'static [usize] {
        match self.via {
            Via::Permuted(_) => &[2, 3],
            Via::Sliced(..) => &[3, 4],
            _ => self.dims,
        }
    }
}

/// The samples of a primitive.
///
/// # Panics
/// If there is none: a new primitive states its samples here, elementwise ones by their domain.
pub(super) fn of(primitive: &'static dyn Primitive) -> Vec<Case> {
    let name = primitive.name();
    if let Some(op) = elementwise::all().find(|op| op.name == name) {
        return elementwise_samples(op);
    }
    let samples = others(name);
    assert!(
        !samples.is_empty(),
        "{name} has no samples: state some here"
    );
    let case = |(ints, operands): (&[usize], Vec<Operand>)| Case {
        name,
        def: primitive,
        attr: if name == "matmul" || name == "stop_gradient" {
            Attr::None
        } else {
            Attr::ints(ints)
        },
        operands,
        draw: Draw::Between(-2.0, 2.0),
    };
    let mut cases: Vec<_> = samples.into_iter().map(case).collect();
    if name == "max" {
        let tied = Case {
            draw: Draw::Few,
            ..cases[0].clone()
        };
        cases.push(tied);
    }
    cases
}

fn elementwise_samples(op: &'static Elementwise) -> Vec<Case> {
    let constants: &[f64] = match op.name {
        "scale" | "regrouped_constant" | "offset" => &[1.7, -0.3, -1.0],
        // Whole and half powers are rewritten, the others are not.
        "powf" => &[2.5, -1.3, 3.0, 2.0, 0.5, -1.0],
        _ => &[],
    };
    let attrs: Vec<_> = if constants.is_empty() {
        vec![Attr::None]
    } else {
        constants.iter().map(|&c| Attr::float(c)).collect()
    };
    let (low, high) = op.domain;
    // Kinks and jumps are at 0; both sides are sampled, away from it.
    let kinked = matches!(op.name, "relu" | "abs" | "step" | "sign" | "signum");
    // Ties and jumps, of masks in particular.
    let jumps = matches!(
        op.name,
        "equals"
            | "not_equals"
            | "less"
            | "less_or_equal"
            | "not"
            | "and"
            | "or"
            | "minimum"
            | "maximum"
            | "share"
    );
    let draw = if kinked {
        Draw::Signed(low, high)
    } else {
        Draw::Between(low, high)
    };
    let mut cases = Vec::new();
    for attr in attrs {
        let operands = if matches!(op.name, "taken" | "kept") {
            selected_operands()
        } else {
            elementwise_operands(op.arity)
        };
        for operands in operands {
            cases.push(Case {
                name: op.name,
                def: op,
                attr: attr.clone(),
                operands,
                draw,
            });
        }
    }
    if kinked || jumps {
        let jumping = Case {
            draw: Draw::Few,
            ..cases[0].clone()
        };
        cases.push(jumping);
    }
    cases
}

fn elementwise_operands(arity: usize) -> Vec<Vec<Operand>> {
    if arity == 1 {
        return vec![
            vec![whole(&[2, 3])],
            vec![whole(&[])],
            // More than a block, and no multiple of a register.
            vec![whole(&[300])],
            vec![whole(&[2, 1, 3, 2])],
            vec![broadcast(&[3], &[2, 3])],
            vec![permuted(&[3, 2], &[1, 0])],
            vec![sliced(&[4, 5], 1, 1, 3)],
        ];
    }
    vec![
        vec![whole(&[2, 3]), whole(&[2, 3])],
        vec![whole(&[]), whole(&[])],
        vec![whole(&[300]), whole(&[300])],
        vec![whole(&[2, 3]), broadcast(&[3], &[2, 3])],
        vec![broadcast(&[2, 1], &[2, 3]), whole(&[2, 3])],
        vec![broadcast(&[2, 1], &[2, 3]), broadcast(&[3], &[2, 3])],
        vec![broadcast(&[], &[2, 2, 3]), whole(&[2, 2, 3])],
        vec![permuted(&[3, 2], &[1, 0]), sliced(&[2, 5], 1, 1, 3)],
    ]
}

/// A mask, and what is selected by it.
fn selected_operands() -> Vec<Vec<Operand>> {
    let mask = |dims| Operand {
        dims,
        via: Via::Mask,
    };
    vec![
        vec![mask(&[2, 3]), whole(&[2, 3])],
        vec![mask(&[300]), whole(&[300])],
        vec![mask(&[2, 3]), broadcast(&[3], &[2, 3])],
        vec![mask(&[2, 3]), permuted(&[3, 2], &[1, 0])],
        vec![mask(&[3, 3]), sliced(&[3, 5], 1, 1, 3)],
        vec![mask(&[]), whole(&[])],
    ]
}

type Row = (&'static [usize], Vec<Operand>);

/// Attribute and operands of the samples of layout, reductions and products.
fn others(name: &str) -> Vec<Row> {
    match name {
        "reshape" => vec![
            (&[3, 2], vec![whole(&[2, 3])]),
            (&[], vec![whole(&[1, 1])]),
            (&[1, 4], vec![whole(&[2, 2])]),
            (&[6], vec![permuted(&[3, 2], &[1, 0])]),
            (&[2, 3], vec![broadcast(&[3], &[1, 2, 3])]),
        ],
        "permute" => vec![
            (&[1, 0], vec![whole(&[2, 3])]),
            (&[2, 0, 1], vec![whole(&[2, 3, 4])]),
            (&[0, 2, 1], vec![permuted(&[4, 3, 2], &[2, 0, 1])]),
            (&[1, 0], vec![broadcast(&[3], &[2, 3])]),
        ],
        "slice" => vec![
            (&[0, 1, 3], vec![whole(&[5])]),
            (&[1, 0, 2], vec![whole(&[2, 3])]),
            (&[1, 2, 1], vec![whole(&[2, 3, 2])]),
            (&[0, 1, 1], vec![permuted(&[3, 2], &[1, 0])]),
            (&[1, 1, 2], vec![broadcast(&[3], &[2, 3])]),
        ],
        "broadcast" => vec![
            (&[2, 3], vec![whole(&[1, 3])]),
            (&[2, 3], vec![whole(&[2, 1])]),
            (&[4], vec![whole(&[1])]),
            (&[2, 2, 3], vec![permuted(&[3, 2, 1], &[1, 2, 0])]),
        ],
        "place" => place(),
        "stop_gradient" => vec![
            (&[], vec![whole(&[2, 3])]),
            (&[], vec![permuted(&[3, 2], &[1, 0])]),
        ],
        "sum" | "mean" | "max" | "norm" | "logsumexp" => vec![
            (&[1], vec![whole(&[2, 3])]),
            (&[0], vec![whole(&[2, 3])]),
            (&[0, 1], vec![whole(&[2, 3])]),
            (&[0], vec![whole(&[300])]),
            (&[1], vec![whole(&[3, 40, 5])]),
            (&[0, 2], vec![whole(&[2, 3, 4])]),
            (&[1], vec![permuted(&[3, 2], &[1, 0])]),
            (&[1], vec![sliced(&[3, 6], 1, 1, 4)]),
        ],
        // The lists are those of `case::LISTS`.
        "gather" => vec![
            (&[0, 0, 5, 4], vec![whole(&[4])]),
            (&[1, 1, 3, 3], vec![whole(&[2, 3])]),
            (&[0, 0, 5, 4], vec![whole(&[5, 3])]),
            (&[1, 0, 5, 4], vec![permuted(&[4, 2, 3], &[2, 0, 1])]),
            (&[0, 1, 3, 3], vec![broadcast(&[2], &[3, 2])]),
        ],
        "scatter_add" => vec![
            (&[0, 0, 5, 4], vec![whole(&[5])]),
            (&[1, 1, 3, 6], vec![whole(&[2, 3])]),
            (&[0, 0, 5, 5], vec![whole(&[5, 3])]),
            (&[1, 0, 5, 4], vec![permuted(&[5, 2, 3], &[2, 0, 1])]),
            (&[0, 1, 3, 3], vec![broadcast(&[2], &[3, 2])]),
        ],
        "recurrence" => vec![
            (&[0], vec![whole(&[5]), whole(&[6])]),
            (&[1], vec![whole(&[5]), whole(&[6])]),
            (&[0], vec![whole(&[1]), whole(&[2])]),
            (&[0], vec![whole(&[2, 3]), permuted(&[4, 2], &[1, 0])]),
            (
                &[1],
                vec![broadcast(&[3], &[2, 3]), sliced(&[2, 6], 1, 1, 4)],
            ),
        ],
        "softmax" | "half_neg_log_softmax" => rows(),
        "softmax_product" | "log_softmax_product" | "log_softmax_transpose" => rows()
            .into_iter()
            .map(|(axes, operands)| {
                let centred = Operand {
                    via: Via::Softmax(axes),
                    dims: operands[0].view_dims(),
                };
                (axes, vec![centred, operands[0].clone()])
            })
            .collect(),
        "matmul" => matmul(),
        _ => Vec::new(),
    }
}

/// Few rows and many, short ones and long ones, along any axes.
fn rows() -> Vec<Row> {
    vec![
        (&[1], vec![whole(&[2, 3])]),
        (&[0], vec![whole(&[2, 3])]),
        (&[0, 1], vec![whole(&[2, 3])]),
        (&[1], vec![whole(&[40, 2])]),
        (&[0], vec![whole(&[150])]),
        (&[1], vec![whole(&[2, 70, 2])]),
        (&[0, 2], vec![whole(&[2, 3, 4])]),
        (&[1], vec![permuted(&[3, 2], &[1, 0])]),
        (&[1], vec![sliced(&[3, 6], 1, 1, 4)]),
        (&[1], vec![whole(&[3, 1])]),
    ]
}

fn place() -> Vec<Row> {
    vec![
        (&[0, 6, 0, 3], vec![whole(&[3]), whole(&[3])]),
        // Gaps before, between and after the pieces.
        (&[0, 9, 1, 5], vec![whole(&[3]), whole(&[3])]),
        (&[1, 6, 1], vec![whole(&[2, 3])]),
        (
            &[1, 6, 0, 2, 5],
            vec![whole(&[2, 2]), permuted(&[3, 2], &[1, 0]), whole(&[2, 1])],
        ),
        (
            &[0, 4, 0, 2],
            vec![broadcast(&[3], &[2, 3]), sliced(&[4, 3], 0, 1, 2)],
        ),
    ]
}

fn matmul() -> Vec<Row> {
    let operands = vec![
        vec![whole(&[3, 3]), whole(&[3, 3])],
        vec![whole(&[2, 4]), whole(&[4, 3])],
        vec![whole(&[1, 1]), whole(&[1, 5])],
        // All transposed forms.
        vec![permuted(&[4, 2], &[1, 0]), whole(&[4, 3])],
        vec![whole(&[2, 4]), permuted(&[3, 4], &[1, 0])],
        vec![permuted(&[4, 2], &[1, 0]), permuted(&[3, 4], &[1, 0])],
        // Sizes that fill no tile of a kernel.
        vec![whole(&[9, 17]), whole(&[17, 13])],
        vec![sliced(&[5, 4], 0, 1, 3), broadcast(&[3], &[4, 3])],
        // Stacks.
        vec![whole(&[2, 2, 4]), whole(&[2, 4, 3])],
        vec![
            permuted(&[4, 2, 2], &[1, 2, 0]),
            broadcast(&[4, 3], &[2, 4, 3]),
        ],
        vec![broadcast(&[2, 4], &[2, 2, 4]), whole(&[2, 4, 3])],
    ];
    operands
        .into_iter()
        .map(|operands| (&[][..], operands))
        .collect()
}
