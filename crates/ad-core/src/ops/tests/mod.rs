//! Every primitive taken through the same identities, and wrong rules fed to the tester.

mod case;
mod identities;
mod mutants;
mod program;
mod reference;
mod rewrites;
mod samples;

use super::Primitive;
use super::{
    elementwise, indexed::INDEXED, layout::LAYOUT, matmul::MATMUL, recurrence::RECURRENCE,
    reduce::REDUCE, softmax::SOFTMAX_FAMILY,
};

/// Every primitive that computes something from operands.
fn primitives() -> Vec<&'static dyn Primitive> {
    let mut all: Vec<&'static dyn Primitive> = Vec::new();
    all.extend(elementwise::all().map(|op| op as &dyn Primitive));
    all.extend(LAYOUT);
    all.extend(REDUCE);
    all.extend(INDEXED);
    all.extend(SOFTMAX_FAMILY);
    all.push(&MATMUL);
    all.push(&RECURRENCE);
    all
}

#[test]
fn every_primitive_satisfies_the_identities() {
    let mut failures = Vec::new();
    for primitive in primitives() {
        for case in samples::of(primitive) {
            failures.extend(identities::check(&case).err());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = primitives().iter().map(|op| op.name()).collect();
    names.sort_unstable();
    let repeated = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(repeated, None);
}
