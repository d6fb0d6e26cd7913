"""scipy's minimisers on the test problems and classifiers, with derivatives by JAX.

Called with the path of a request; prints a JSON list of runs, one for each method and task. Each
function must agree with the harness's at the start before it is minimised.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

jax.config.update("jax_enable_x64", True)

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "crates/test-problems/reference"))
sys.dont_write_bytecode = True

from problems import jax_numbers, problems  # noqa: E402

# Relative to the largest entry: libraries round sums and elementary functions differently, and
# residuals cancel.
AGREEMENT = 1e-11

TOLERANCE = 1e-10


def is_near(value: float, known: float) -> bool:
    return abs(value - known) <= TOLERANCE * max(1.0, abs(known))


class Tally:
    """Counts calls, and notes when each answer was first met."""

    def __init__(self, answers: list[float]) -> None:
        self.answers = answers
        self.counts = {"n_values": 0, "n_gradients": 0, "n_products": 0}
        self.first: dict[float, dict[str, Any]] = {}
        self.start = perf_counter()

    def saw(self, name: str, value: float | None = None) -> None:
        self.counts[name] += 1
        if value is None:
            return
        for answer in self.answers:
            if answer not in self.first and is_near(value, answer):
                seconds = perf_counter() - self.start
                self.first[answer] = self.counts | {"seconds": seconds}

    def at(self, end: float) -> dict[str, Any] | None:
        """What it had cost when the answer was first met at which a run ended."""
        marks = [self.first[a] for a in self.answers if a in self.first and is_near(end, a)]
        return marks[0] if marks else None


def classifier(network: dict[str, Any]) -> Callable[[Any], Any]:
    sizes, folder = network["sizes"], Path(network["folder"])
    inputs = np.fromfile(folder / "inputs.bin", dtype="<f8").reshape(-1, sizes[0])
    targets = np.fromfile(folder / "targets.bin", dtype="<f8").reshape(-1, sizes[-1])

    def loss(x: Any) -> Any:
        layer, at = inputs, 0
        for depth, (rows, columns) in enumerate(zip(sizes, sizes[1:], strict=False)):
            layer = jnp.tanh(layer) if depth else layer
            weights, bias = at + rows * columns, at + (rows + 1) * columns
            layer = layer @ x[at:weights].reshape(rows, columns) + x[weights:bias]
            at = bias
        entropy = jax.nn.logsumexp(layer, axis=1).sum() - (targets * layer).sum()
        return entropy / len(inputs) + 0.5 * network["lambda"] * (x @ x)

    return loss


def objective(task: dict[str, Any]) -> Callable[[Any], Any]:
    if task["network"]:
        return classifier(task["network"])
    of_number = problems(jax_numbers(), only={task["problem"]})
    (problem,) = (p for p in of_number if p.n == len(task["start"]))
    return lambda x: (problem.residuals(x) ** 2).sum()


class Function:
    """f, ∇f and Hv, compiled, as scipy calls them."""

    def __init__(self, task: dict[str, Any]) -> None:
        f = objective(task)
        self.value, self.gradient = jax.jit(f), jax.jit(jax.grad(f))
        self.both = jax.jit(jax.value_and_grad(f))
        self.product = jax.jit(lambda x, v: jax.jvp(jax.grad(f), (x,), (v,))[1])
        self.check(task)

    def check(self, task: dict[str, Any]) -> None:
        x = np.array(task["start"])
        # Compiles all of them, before anything is timed.
        self.value(x), self.gradient(x)
        value, gradient = self.both(x)
        product = self.product(x, 1.0 / np.arange(1, len(x) + 1))
        for found, key in [(value, "value"), (gradient, "gradient"), (product, "product")]:
            found, expected = np.asarray(found), np.array(task["check"][key])
            error = np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-300)
            if not error <= AGREEMENT:
                raise ArithmeticError(f"{task['name']}: {key} differs by {error:.1e}")

    def minimise(self, method: str, x: np.ndarray, tally: Tally, request: dict[str, Any]) -> Any:
        def value(x: np.ndarray) -> float:
            found = float(self.value(x))
            tally.saw("n_values", found)
            return found

        def gradient(x: np.ndarray) -> np.ndarray:
            tally.saw("n_gradients")
            return np.asarray(self.gradient(x))

        def both(x: np.ndarray) -> tuple[float, np.ndarray]:
            found, gradient = self.both(x)
            tally.saw("n_gradients", float(found))
            return float(found), np.asarray(gradient)

        def product(x: np.ndarray, v: np.ndarray) -> np.ndarray:
            tally.saw("n_products")
            return np.asarray(self.product(x, v))

        settings, is_newton = METHODS[method]
        options = settings(request, x)
        if is_newton:
            # Values of steps that are not taken need no gradient.
            return minimize(value, x, method=method, jac=gradient, hessp=product, options=options)
        return minimize(both, x, method=method, jac=True, options=options)


def newton_cg(request: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    # It ends by the mean size of its steps.
    return {"xtol": request["gradient_norm"], "maxiter": request["max_iters"]}


def trust(request: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    return {"gtol": request["gradient_norm"], "maxiter": request["max_iters"]}


def lbfgs(request: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    # It ends by the largest entry of the gradient rather than by the norm.
    gtol = request["gradient_norm"] / len(x) ** 0.5
    limits = {"maxiter": request["max_iters"], "maxfun": 10 * request["max_iters"]}
    return {"gtol": gtol, "ftol": 0.0} | limits


METHODS = {
    "Newton-CG": (newton_cg, True),
    "trust-ncg": (trust, True),
    "trust-krylov": (trust, True),
    "L-BFGS-B": (lbfgs, False),
}


def run(task: dict[str, Any], function: Function, method: str, request: dict[str, Any]) -> Any:
    best = None
    for _ in range(request["repeats"]):
        tally = Tally(task["answers"])
        record = {"task": task["name"], "method": f"scipy: {method}", "value": None, "n_iters": 0}
        try:
            with np.errstate(all="ignore"):
                found = function.minimise(method, np.array(task["start"]), tally, request)
        except Exception as error:  # noqa: BLE001 - one run's failure must not hide the others
            record |= {"ending": f"{type(error).__name__}: {error}"[:200]}
            return record | tally.counts | {"solved": None}
        end = float(found.fun)
        record |= {"value": end if np.isfinite(end) else None, "n_iters": int(found.nit)}
        record |= {"ending": str(found.message)[:200], "solved": tally.at(end)} | tally.counts
        if best and best["solved"] and record["solved"]:
            least = min(best["solved"]["seconds"], record["solved"]["seconds"])
            record["solved"]["seconds"] = least
        best = record
    return best


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    # A library that prints must not break the list.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runs, functions = [], {}
    for task in request["tasks"]:
        # Starts of one problem share what is compiled.
        key = json.dumps([task["problem"], task["network"], len(task["start"])])
        if key in functions:
            functions[key].check(task)
        else:
            functions[key] = Function(task)
        runs += [run(task, functions[key], method, request) for method in METHODS]
    json.dump(runs, out, allow_nan=False)
    out.write("\n")
    out.close()


main()
