"""The chained Rosenbrock function's derivatives by hand, and its minimum by scipy's methods."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from common import Candidate, Case, digest_of
from scipy.optimize import minimize
from scipy.sparse import dia_array

# The mode that the harness holds results against and counts as no engine.
BY_HAND = "numpy by hand"

# The largest gradient norm at which a minimum counts as found, of all engines.
GRADIENT_NORM = 1e-6

# Newton-CG ends by the size of its steps: mean |step| of 1e-9 is a gradient below the bound above,
# as the curvature at the minimum is at most some thousand.
STEP = 1e-9

MAX_ITERATIONS = 20_000


def value(x: np.ndarray) -> float:
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    return float(100.0 * (a @ a) + b @ b)


def gradient(x: np.ndarray) -> np.ndarray:
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    g = np.zeros_like(x)
    g[1:] = 200.0 * a
    g[:-1] -= 400.0 * a * x[:-1] + 2.0 * b
    return g


def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
    return value(x), gradient(x)


def bands(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal and the entries beside it."""
    diagonal = np.zeros_like(x)
    diagonal[1:] = 200.0
    diagonal[:-1] += 1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0
    return diagonal, -400.0 * x[:-1]


def hvp(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    return multiply(bands(x), v)


def multiply(hessian: tuple[np.ndarray, np.ndarray], v: np.ndarray) -> np.ndarray:
    diagonal, beside = hessian
    product = diagonal * v
    product[1:] += beside * v[:-1]
    product[:-1] += beside * v[1:]
    return product


def sparse(x: np.ndarray) -> dia_array:
    diagonal, beside = bands(x)
    offsets = np.array([-1, 0, 1])
    # Entry j of a band stands in column j.
    lower, upper = np.append(beside, 0.0), np.append(0.0, beside)
    return dia_array((np.stack([lower, diagonal, upper]), offsets), shape=(len(x), len(x)))


def minimum(x: np.ndarray, method: str) -> Any:
    """The end of a method, which must be a minimum by its gradient."""
    settings: dict[str, dict[str, Any]] = {
        "Newton-CG": {"hessp": hvp, "options": {"xtol": STEP, "maxiter": MAX_ITERATIONS}},
        "trust-ncg": {
            "hessp": hvp,
            "options": {"gtol": GRADIENT_NORM, "maxiter": MAX_ITERATIONS},
        },
        "L-BFGS-B": {
            # Of the largest entry rather than the norm: not above the norm's bound if no more
            # than this.
            "options": {
                "gtol": GRADIENT_NORM / len(x) ** 0.5,
                "ftol": 0.0,
                "maxiter": MAX_ITERATIONS,
                "maxfun": 2 * MAX_ITERATIONS,
            }
        },
    }
    found = minimize(value_and_grad, x, method=method, jac=True, **settings[method])
    norm = float(np.linalg.norm(gradient(found.x)))
    if norm > GRADIENT_NORM:
        raise ArithmeticError(f"{method} ended at a gradient of norm {norm:.1e}: {found.message}")
    return found


def rosenbrock_candidates(case: Case) -> Iterator[Candidate]:
    x, v = case.array("x"), case.array("v")

    def candidate(op: str, call: Callable[[], Any], digest: Callable[[Any], Any]) -> Candidate:
        return Candidate(op, BY_HAND, lambda: call, digest)

    def vector(result: np.ndarray) -> dict[str, float]:
        return digest_of(result, v)

    def of_sparse(result: dia_array) -> dict[str, float]:
        return {"norm": float(np.sqrt((result.data**2).sum())), "dot": float(v @ (result @ v))}

    yield candidate("value", lambda: value(x), lambda result: {"value": result})
    yield candidate(
        "value_and_grad",
        lambda: value_and_grad(x),
        lambda result: {"value": result[0]} | vector(result[1]),
    )
    yield candidate("hvp", lambda: hvp(x, v), vector)
    at_point = bands(x)
    yield candidate("hvp_linearized", lambda: multiply(at_point, v), vector)
    yield candidate("hessian_sparse", lambda: sparse(x), of_sparse)
    for method in ("Newton-CG", "trust-ncg", "L-BFGS-B"):
        call = lambda method=method: minimum(x, method)  # noqa: E731 - one for each method
        # Which of the function's minima is found depends on the way there.
        yield Candidate("minimize", method, lambda call=call: call, lambda _: {})
