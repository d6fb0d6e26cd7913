//! Dense matrices beyond the memory budget.

use ad_core::{Error, Function, HessianOptions, Point, Real};

use super::op::Op;
use crate::case::Problem;
use crate::facts::Refusal;
use crate::record::Id;
use crate::session::Session;

/// Numbers of parameters at which the table states the size of a Hessian: a million, and those of
/// a large language model of 2020.
const HYPOTHETICAL: [usize; 2] = [1_000_000, 175_000_000_000];

/// Adds what the dense Hessians of large models would take.
pub(super) fn add_hypothetical(session: &mut Session) {
    let budget = session.settings.budget as f64;
    for n in HYPOTHETICAL {
        for (dtype, bytes) in [
            ("f64", Function::<f64>::dense_bytes(n)),
            ("f32", Function::<f32>::dense_bytes(n)),
        ] {
            session.facts.refused.push(Refusal {
                case: None,
                op: Op::Hessian.name().into(),
                dtype: dtype.into(),
                n: n as u64,
                required_bytes: bytes as f64,
                budget_bytes: budget,
                message: None,
            });
        }
    }
}

/// The engine's refusal of an operation whose matrices exceed the budget.
pub(super) fn refusal<T: Real>(
    problem: &Problem<T>,
    op: Op,
    budget: u128,
) -> Result<Option<Error>, Error> {
    let n = problem.n();
    let required = op.dense_matrices() * Function::<T>::dense_bytes(n);
    if required <= budget {
        return Ok(None);
    }
    if op != Op::Hessian {
        let what = format!("a dense Hessian of {n} × {n} numbers and its Cholesky factor");
        return Ok(Some(Error::MemoryBudget {
            what,
            required,
            budget,
        }));
    }
    let shapes: Vec<_> = problem.data().iter().map(|array| array.shape()).collect();
    let loss = Function::<T>::record_with_data(n, &shapes, |x, data| problem.loss(x, data))?;
    let views: Vec<_> = problem.data().iter().map(|array| array.view()).collect();
    let options = HessianOptions {
        memory_budget: budget,
    };
    // Found before anything is computed.
    let refused = loss.hessian_with(Point::with_data(&problem.x, &views), &options);
    Ok(refused.err())
}

/// A refusal as a fact of the run; `None` for another kind of error.
pub(super) fn as_fact(id: &Id, n: usize, error: &Error) -> Option<Refusal> {
    let Error::MemoryBudget {
        required, budget, ..
    } = error
    else {
        return None;
    };
    Some(Refusal {
        case: Some(id.case.clone()),
        op: id.op.clone(),
        dtype: id.dtype.clone(),
        n: n as u64,
        required_bytes: *required as f64,
        budget_bytes: *budget as f64,
        message: Some(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    #[test]
    fn matrices_over_the_budget_are_refused_with_their_size() {
        let problem = Problem::<f32>::new(&Case::from_name("64-1-10/b8").unwrap()).unwrap();
        let n2 = 85 * 85 * 4;
        for (op, required) in [(Op::Hessian, n2), (Op::NewtonCholesky, 2 * n2)] {
            assert_eq!(refusal(&problem, op, required), Ok(None));
            let error = refusal(&problem, op, required - 1).unwrap().unwrap();
            let found =
                matches!(error, Error::MemoryBudget { required: found, .. } if found == required);
            assert!(found, "{error}");
        }
        assert_eq!(refusal(&problem, Op::NewtonCg, 0), Ok(None));
    }
}
