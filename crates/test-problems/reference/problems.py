"""The problems of Moré, Garbow and Hillstrom (1981), a second time: from the paper, in array code
that runs in multiple precision (mpmath) and in JAX alike.

`problems(numbers)` gives a list of `Problem`; `numbers` is `mp_numbers()` here or `jax_numbers()`
where JAX is to run them. Decimal constants are exact in multiple precision.
"""

from dataclasses import dataclass
from typing import Any, Callable

import numpy as np


@dataclass(frozen=True)
class Numbers:
    """Arithmetic: `array` makes an array of decimal strings or whole numbers, the rest are functions
    of arrays."""

    xp: Any
    array: Callable
    exp: Callable
    log: Callable
    sin: Callable
    cos: Callable
    sqrt: Callable
    arctan2: Callable
    pi: Any


@dataclass(frozen=True)
class Problem:
    number: int
    name: str
    n: int
    start: list
    residuals: Callable


def mp_numbers():
    import mpmath

    def lift(function):
        ufunc = np.frompyfunc(function, 1, 1)
        return lambda x: ufunc(x)

    def array(values):
        if isinstance(values, (str, int)):
            return mpmath.mpf(values)
        return np.array([mpmath.mpf(v) for v in values], dtype=object)

    return Numbers(np, array, lift(mpmath.exp), lift(mpmath.log), lift(mpmath.sin), lift(mpmath.cos),
                   lift(mpmath.sqrt), np.frompyfunc(mpmath.atan2, 2, 1), mpmath.pi)


def jax_numbers():
    import jax.numpy as jnp

    def array(values):
        if isinstance(values, (str, int)):
            return float(values)
        return np.array([float(v) for v in values])

    return Numbers(jnp, array, jnp.exp, jnp.log, jnp.sin, jnp.cos, jnp.sqrt, jnp.arctan2, np.pi)


BARD = "0.14 0.18 0.22 0.25 0.29 0.32 0.35 0.39 0.37 0.58 0.73 0.96 1.34 2.10 4.39".split()
GAUSSIAN = ".0009 .0044 .0175 .0540 .1295 .2420 .3521 .3989".split()
MEYER = "34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872".split()
KOWALIK_Y = ".1957 .1947 .1735 .1600 .0844 .0627 .0456 .0342 .0323 .0235 .0246".split()
KOWALIK_U = "4.0 2.0 1.0 .5 .25 .167 .125 .1 .0833 .0714 .0625".split()
OSBORNE_1 = """.844 .908 .932 .936 .925 .908 .881 .850 .818 .784 .751 .718 .685 .658 .628 .603 .580
.558 .538 .522 .506 .490 .478 .467 .457 .448 .438 .431 .424 .420 .414 .411 .406""".split()
OSBORNE_2 = """1.366 1.191 1.112 1.013 .991 .885 .831 .847 .786 .725 .746 .679 .608 .655 .616 .606 .602
.626 .651 .724 .649 .649 .694 .644 .624 .661 .612 .558 .533 .495 .500 .423 .395 .375 .372 .391 .396
.405 .428 .429 .523 .562 .607 .653 .672 .708 .633 .668 .645 .632 .591 .559 .597 .625 .739 .710 .729
.720 .636 .581 .428 .292 .162 .098 .054""".split()


def chebyshev(k, n, m):
    def residuals(x):
        u = 2 * x - 1
        rows, before, now = [], u * 0 + 1, u
        for i in range(1, m + 1):
            integral = k.array(0) if i % 2 else k.array(-1) / (i * i - 1)
            rows.append(now.sum() / n - integral)
            before, now = now, 2 * u * now - before
        return k.xp.stack(rows)

    return residuals


def problems(k, only=None):
    """The list; `k` is a `Numbers`, `only` a set of problem numbers."""
    xp, a = k.xp, k.array
    counted = lambda first, last: a(list(range(first, last + 1)))
    join = lambda *parts: xp.concatenate([xp.atleast_1d(part) for part in parts])
    rows = lambda *parts: xp.stack([*parts])
    made = []

    def add(number, name, start, residuals):
        start = [str(v) for v in start]
        if only is None or number in only:
            made.append(Problem(number, name, len(start), start, residuals))

    add(1, "Rosenbrock", ["-1.2", 1], lambda x: rows(10 * (x[1] - x[0] ** 2), 1 - x[0]))
    add(2, "Freudenstein and Roth", [".5", -2],
        lambda x: rows(-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1],
                       -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]))
    add(3, "Powell badly scaled", [0, 1],
        lambda x: rows(10000 * x[0] * x[1] - 1, k.exp(-x[0]) + k.exp(-x[1]) - a("1.0001")))
    add(4, "Brown badly scaled", [1, 1],
        lambda x: rows(x[0] - 10**6, x[1] - a("2e-6"), x[0] * x[1] - 2))
    add(5, "Beale", [1, 1],
        lambda x: rows(a("1.5") - x[0] * (1 - x[1]), a("2.25") - x[0] * (1 - x[1] ** 2),
                       a("2.625") - x[0] * (1 - x[1] ** 3)))
    i10 = counted(1, 10)
    add(6, "Jennrich and Sampson", [".3", ".4"],
        lambda x: 2 + 2 * i10 - (k.exp(i10 * x[0]) + k.exp(i10 * x[1])))

    def helical(x):
        # The paper's angle, arctan(x₂/x₁)/2π for x₁ > 0 and half a turn more for x₁ < 0, by the
        # angle of −x, which is smooth on the left half plane, or that of x, on the right one.
        left = k.arctan2(-x[1], -x[0]) / (2 * k.pi) + a("0.5")
        right = k.arctan2(x[1], x[0]) / (2 * k.pi)
        theta = xp.where(x[0] < 0, left, right)
        theta = theta.item() if theta.dtype == object else theta
        return rows(10 * (x[2] - 10 * theta), 10 * (k.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2])

    add(7, "Helical valley", [-1, 0, 0], helical)
    u15, bard = counted(1, 15), a(BARD)
    w15 = a([min(i, 16 - i) for i in range(1, 16)])
    add(8, "Bard", [1, 1, 1],
        lambda x: bard - (x[0] + u15 / ((16 - u15) * x[1] + w15 * x[2])))
    gauss, t9 = a(GAUSSIAN + GAUSSIAN[-2::-1]), (8 - u15) / 2
    add(9, "Gaussian", [".4", 1, 0],
        lambda x: x[0] * k.exp(-x[1] * (t9 - x[2]) ** 2 / 2) - gauss)
    meyer, t10 = a(MEYER), 45 + 5 * counted(1, 16)
    add(10, "Meyer", [".02", 4000, 250], lambda x: x[0] * k.exp(x[1] / (t10 + x[2])) - meyer)
    t11 = counted(1, 99) / 100
    two_thirds = a(2) / 3
    log11 = k.log(-50 * k.log(t11)) * two_thirds
    y11 = 25 + k.exp(log11)
    add(11, "Gulf", [5, "2.5", ".15"],
        lambda x: k.exp(-k.exp(x[2] * k.log(abs(y11 - x[1]))) / x[0]) - t11)
    t12 = i10 / 10
    add(12, "Box three-dimensional", [0, 10, 20],
        lambda x: k.exp(-t12 * x[0]) - k.exp(-t12 * x[1])
        - x[2] * (k.exp(-t12) - k.exp(-10 * t12)))
    ten, five, ninety = a(10), a(5), a(90)
    root = lambda c: k.sqrt(c)
    powell = lambda x: rows(x[0] + 10 * x[1], root(five) * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2,
                            root(ten) * (x[0] - x[3]) ** 2)
    add(13, "Powell singular", [3, -1, 0, 1], powell)
    add(14, "Wood", [-3, -1, -3, -1],
        lambda x: rows(10 * (x[1] - x[0] ** 2), 1 - x[0], root(ninety) * (x[3] - x[2] ** 2),
                       1 - x[2], root(ten) * (x[1] + x[3] - 2), (x[1] - x[3]) / root(ten)))
    y15, u11 = a(KOWALIK_Y), a(KOWALIK_U)
    add(15, "Kowalik and Osborne", [".25", ".39", ".415", ".39"],
        lambda x: y15 - x[0] * (u11**2 + u11 * x[1]) / (u11**2 + u11 * x[2] + x[3]))
    t16 = counted(1, 20) / 5
    add(16, "Brown and Dennis", [25, 5, -5, -1],
        lambda x: (x[0] + t16 * x[1] - k.exp(t16)) ** 2
        + (x[2] + x[3] * k.sin(t16) - k.cos(t16)) ** 2)
    y17, t17 = a(OSBORNE_1), 10 * counted(0, 32)
    add(17, "Osborne 1", [".5", "1.5", -1, ".01", ".02"],
        lambda x: y17 - (x[0] + x[1] * k.exp(-t17 * x[3]) + x[2] * k.exp(-t17 * x[4])))
    t18 = counted(1, 13) / 10
    y18 = k.exp(-t18) - 5 * k.exp(-10 * t18) + 3 * k.exp(-4 * t18)
    add(18, "Biggs EXP6", [1, 2, 1, 1, 1, 1],
        lambda x: x[2] * k.exp(-t18 * x[0]) - x[3] * k.exp(-t18 * x[1])
        + x[5] * k.exp(-t18 * x[4]) - y18)
    y19, t19 = a(OSBORNE_2), counted(0, 64) / 10
    peak = lambda height, width, centre: height * k.exp(-((t19 - centre) ** 2) * width)
    add(19, "Osborne 2", "1.3 .65 .65 .7 .6 3 5 7 2 4.5 5.5".split(),
        lambda x: y19 - (x[0] * k.exp(-t19 * x[4]) + peak(x[1], x[5], x[8])
                         + peak(x[2], x[6], x[9]) + peak(x[3], x[7], x[10])))

    for n in (6, 9, 12):
        t20 = counted(1, 29) / 29
        j = counted(0, n - 1)
        powers = np.stack([t20**p for p in range(n)], axis=1)
        slopes = np.stack([t20 ** max(p - 1, 0) * p for p in range(n)], axis=1)
        add(20, "Watson", [0] * n,
            lambda x, p=powers, s=slopes: join(s @ x - (p @ x) ** 2 - 1, x[0], x[1] - x[0] ** 2 - 1))
    add(21, "Extended Rosenbrock", ["-1.2", 1] * 5,
        lambda x: join(10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]))
    add(22, "Extended Powell singular", [3, -1, 0, 1] * 3,
        lambda x: join(*[powell(x[b:b + 4]) for b in range(0, 12, 4)]))
    weight = root(a("1e-5"))
    for n in (4, 10):
        add(23, "Penalty I", list(range(1, n + 1)),
            lambda x: join(weight * (x - 1), (x**2).sum() - a("0.25")))
    for n in (4, 10):
        i = counted(2, n)
        y24 = k.exp(i / 10) + k.exp((i - 1) / 10)
        falling = a(list(range(n, 0, -1)))
        add(24, "Penalty II", [".5"] * n,
            lambda x, y=y24, f=falling: join(
                x[0] - a("0.2"),
                weight * (k.exp(x[1:] / 10) + k.exp(x[:-1] / 10) - y),
                weight * (k.exp(x[1:] / 10) - k.exp(a("-0.1"))),
                (f * x**2).sum() - 1))
    add(25, "Variably dimensioned", [f"0.{9 - j}" for j in range(10)],
        lambda x: join(x - 1, (i10 * (x - 1)).sum(), (i10 * (x - 1)).sum() ** 2))
    add(26, "Trigonometric", [".1"] * 10,
        lambda x: 10 - k.cos(x).sum() + i10 * (1 - k.cos(x)) - k.sin(x))
    add(27, "Brown almost-linear", [".5"] * 10,
        lambda x: join(x[:-1] + x.sum() - 11, xp.prod(x) - 1))
    h, t28 = a(1) / 11, i10 / 11
    zero = a([0])
    between = [str(v) for v in (t28 * (t28 - 1))]
    add(28, "Discrete boundary value", between,
        lambda x: 2 * x - join(zero, x[:-1]) - join(x[1:], zero) + h**2 * (x + t28 + 1) ** 3 / 2)

    def integral(x):
        cubes = (x + t28 + 1) ** 3
        below = xp.stack([(t28[:i + 1] * cubes[:i + 1]).sum() for i in range(10)])
        above = xp.stack([((1 - t28[i + 1:]) * cubes[i + 1:]).sum() for i in range(9)])
        return x + h * ((1 - t28) * below + t28 * join(above, zero)) / 2

    add(29, "Discrete integral equation", between, integral)
    add(30, "Broyden tridiagonal", [-1] * 10,
        lambda x: (3 - 2 * x) * x - join(zero, x[:-1]) - 2 * join(x[1:], zero) + 1)
    band = np.array([[int(i != j and i - 5 <= j <= i + 1) for j in range(10)] for i in range(10)])
    add(31, "Broyden banded", [-1] * 10,
        lambda x: x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x)))
    full = np.concatenate([np.eye(10, dtype=int), np.zeros((10, 10), dtype=int)])
    add(32, "Linear, full rank", [1] * 10, lambda x: full @ x - x.sum() / 10 - 1)
    i20 = counted(1, 20)
    add(33, "Linear, rank 1", [1] * 10, lambda x: i20 * (i10 * x).sum() - 1)
    rows34 = a([0] + list(range(1, 19)) + [0])
    columns34 = a([0] + list(range(2, 10)) + [0])
    add(34, "Linear, rank 1 with zero columns and rows", [1] * 10,
        lambda x: rows34 * (columns34 * x).sum() - 1)
    for n in (8, 9, 10):
        add(35, "Chebyquad", [str(a(j) / (n + 1)) for j in range(1, n + 1)], chebyshev(k, n, n))
    return made
