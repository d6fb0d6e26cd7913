"""f, ∇f, Hv and H of a problem in multiple precision, by differences in 120 digits."""

import mpmath
import numpy as np

mpmath.mp.dps = 120
STEP = mpmath.mpf(10) ** -30  # truncation 1e-60, rounding 1e-60 in second differences


def numbers(values):
    return np.array([mpmath.mpf(v) for v in values], dtype=object)


def value(problem, x):
    return (problem.residuals(x) ** 2).sum()


def unit(n, i):
    return numbers(int(i == j) for j in range(n))


def gradient(problem, x):
    h, n = STEP, len(x)
    f = lambda y: value(problem, y)
    return numbers((f(x + h * unit(n, i)) - f(x - h * unit(n, i))) / (2 * h) for i in range(n))


def product(problem, x, v):
    h = STEP
    return (gradient(problem, x + h * v) - gradient(problem, x - h * v)) / (2 * h)


def hessian(problem, x):
    return np.stack([product(problem, x, unit(len(x), i)) for i in range(len(x))])


def newton(problem, x, n_steps=60):
    """The stationary point near x, by Newton's method on the gradient."""
    for _ in range(n_steps):
        h, g = hessian(problem, x), gradient(problem, x)
        step = mpmath.lu_solve(mpmath.matrix(h.tolist()), mpmath.matrix(g.tolist()))
        x = x - numbers(step)
        if max(abs(s) for s in step) <= mpmath.mpf(10) ** -40 * max(abs(v) for v in x):
            return x
    raise ArithmeticError(f"{problem.name}: no stationary point near the start")


def text(v, digits=25):
    return mpmath.nstr(v, digits, strip_zeros=False, min_fixed=0, max_fixed=0)
