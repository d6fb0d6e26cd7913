"""scipy: its eigenvalue solver and minimisers on derivatives written by hand with numpy.

The derivatives follow no automatic differentiation: what they agree with is right.
"""

import sys
from collections.abc import Callable, Iterator

import threads

threads.limit_to_request(sys.argv[1])

import numpy as np  # noqa: E402 - threads are limited first
from common import Candidate, Case, digest_of, main  # noqa: E402
from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: E402
from scipy_rosenbrock import BY_HAND, rosenbrock_candidates  # noqa: E402

# The largest eigenvalues, to this relative accuracy.
N_EIGENVALUES = 4
TOLERANCE = 1e-6

Layers = list[tuple[np.ndarray, np.ndarray]]


class Net:
    """Mean softmax cross-entropy of the perceptron: value, gradient and H·v at a point."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.inputs, self.targets = case.inputs(), case.targets()
        self.x, self.v = case.array("x"), case.array("v")

    def linearize(self) -> tuple[float, np.ndarray]:
        """f and ∇f; keeps the layers' inputs, the weights and the cotangents."""
        self.layers: Layers = self.case.split(self.x)
        self.h = [self.inputs]
        for weights, bias in self.layers[:-1]:
            self.h.append(np.tanh(self.h[-1] @ weights + bias))
        weights, bias = self.layers[-1]
        z = self.h[-1] @ weights + bias
        z = z - z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(z).sum(axis=1, keepdims=True))
        self.p = np.exp(z - log_sum)
        value = float(np.mean(np.sum(self.targets * (log_sum - z), axis=1)))
        return value, self.backward()

    def backward(self) -> np.ndarray:
        delta = (self.p - self.targets) / len(self.p)
        self.deltas, parts = [], []
        for at in reversed(range(len(self.layers))):
            self.deltas.insert(0, delta)
            parts = [(self.h[at].T @ delta).ravel(), delta.sum(axis=0), *parts]
            delta = (delta @ self.layers[at][0].T) * (1 - self.h[at] ** 2)
        return np.concatenate(parts)

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """Pearlmutter's product: the derivative of both passes along v."""
        directions, last = self.case.split(v), len(self.layers) - 1
        rh = [np.zeros_like(self.inputs)]
        for at, ((weights, _), (dw, db)) in enumerate(zip(self.layers, directions, strict=True)):
            rz = rh[at] @ weights + self.h[at] @ dw + db
            rh.append(rz if at == last else (1 - self.h[at + 1] ** 2) * rz)
        t = rh.pop()
        r_delta = self.p * (t - np.sum(self.p * t, axis=1, keepdims=True)) / len(self.p)
        parts: list[np.ndarray] = []
        for at in reversed(range(len(self.layers))):
            weights, dw = self.layers[at][0], directions[at][0]
            h, delta = self.h[at], self.deltas[at]
            r_weights = rh[at].T @ delta + h.T @ r_delta
            parts = [r_weights.ravel(), r_delta.sum(axis=0), *parts]
            slope = 1 - h**2
            carried = r_delta @ weights.T + delta @ dw.T
            r_delta = carried * slope - 2 * (delta @ weights.T) * h * rh[at]
        return np.concatenate(parts)


def largest_eigenvalues(net: Net) -> np.ndarray:
    n = len(net.x)
    operator = LinearOperator((n, n), matvec=net.hvp, dtype=net.x.dtype)
    # The starting vector is given: scipy would draw it.
    values = eigsh(operator, N_EIGENVALUES, which="LA", v0=net.v, tol=TOLERANCE)[0]
    return np.sort(values)


def network_candidates(case: Case) -> Iterator[Candidate]:
    net = Net(case)

    def digest(result: tuple[float, np.ndarray]) -> dict[str, float]:
        return {"value": result[0]} | digest_of(result[1], net.v)

    def after(call: Callable[[], np.ndarray]) -> Callable[[], Callable[[], np.ndarray]]:
        def prepare() -> Callable[[], np.ndarray]:
            net.linearize()
            return call

        return prepare

    def product() -> np.ndarray:
        return net.hvp(net.v)

    def eigenvalues() -> np.ndarray:
        return largest_eigenvalues(net)

    yield Candidate("value_and_grad", BY_HAND, lambda: net.linearize, digest)
    yield Candidate("hvp_linearized", BY_HAND, after(product), lambda r: digest_of(r, net.v))
    yield Candidate(
        "eigsh",
        f"{N_EIGENVALUES} largest",
        after(eigenvalues),
        lambda values: {"norm": float(np.linalg.norm(values))},
    )


def candidates(case: Case) -> Iterator[Candidate]:
    if case.kind == "rosenbrock":
        yield from rosenbrock_candidates(case)
    else:
        yield from network_candidates(case)


if __name__ == "__main__":
    main("scipy", candidates)
