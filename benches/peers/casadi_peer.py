"""CasADi: the chained Rosenbrock function as a graph of scalars, on its virtual machine.

f(x) = Σᵢ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import threads

threads.limit_to_request(sys.argv[1])

import casadi  # noqa: E402 - threads are limited first
import numpy as np  # noqa: E402
from common import Candidate, Case, digest_of, main  # noqa: E402

# As C code, by the system's compiler; -Ofast would allow what the other engines may not do.
COMPILED = {"jit": True, "compiler": "shell", "jit_options": {"flags": ["-O3 -march=native"]}}

OPS = ("value", "value_and_grad", "hvp", "hessian_sparse")


class Buffered:
    """A function on fixed memory: a call without the conversions of CasADi's own arrays."""

    def __init__(self, function: casadi.Function, arguments: list[np.ndarray]) -> None:
        self.function = function
        self.results = [np.zeros(function.nnz_out(at)) for at in range(function.n_out())]
        self.arguments = [np.ascontiguousarray(argument) for argument in arguments]
        self.buffer, self.evaluate = function.buffer()
        for at, argument in enumerate(self.arguments):
            self.buffer.set_arg(at, memoryview(argument))
        for at, result in enumerate(self.results):
            self.buffer.set_res(at, memoryview(result))

    def __call__(self) -> "Buffered":
        self.evaluate()
        return self


def functions(n: int) -> dict[str, tuple[list[Any], list[Any]]]:
    """Arguments and results of each operation."""
    x, v = casadi.SX.sym("x", n), casadi.SX.sym("v", n)
    f = casadi.sum1(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    gradient = casadi.gradient(f, x)
    product = casadi.jtimes(gradient, x, v)
    hessian, _ = casadi.hessian(f, x)
    return {
        "value": ([x], [f]),
        "value_and_grad": ([x], [f, gradient]),
        "hvp": ([x, v], [product]),
        "hessian_sparse": ([x], [hessian]),
    }


def digest(op: str, v: np.ndarray, result: Buffered) -> dict[str, float]:
    arrays = result.results
    if op == "value":
        return {"value": float(arrays[0][0])}
    if op == "value_and_grad":
        return {"value": float(arrays[0][0])} | digest_of(arrays[1], v)
    if op == "hvp":
        return digest_of(arrays[0], v)
    rows, columns = map(np.asarray, result.function.sparsity_out(0).get_triplet())
    dot = float(np.sum(arrays[0] * v[rows] * v[columns]))
    return {"norm": float(np.linalg.norm(arrays[0])), "dot": dot}


def candidates(case: Case) -> Iterator[Candidate]:
    if case.dtype != "f64":
        # CasADi has no other numbers.
        return
    x, v = case.array("x"), case.array("v")

    def prepare(op: str, options: dict[str, Any]) -> Callable[[], Callable[[], Any]]:
        def build() -> Callable[[], Any]:
            arguments, results = functions(len(x))[op]
            function = casadi.Function(op, arguments, results, options)
            return Buffered(function, [x, v][: len(arguments)])

        return build

    known = [op for op in case.ops if op in OPS]
    for op in known:
        for mode, options in (("virtual machine", {}), ("compiled C", COMPILED)):
            compare = lambda result, op=op: digest(op, v, result)  # noqa: E731
            yield Candidate(op, mode, prepare(op, options), compare)


if __name__ == "__main__":
    main("casadi", candidates)
