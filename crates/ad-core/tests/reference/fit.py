#!/usr/bin/env python3
"""Fits the polynomials of `kernels::vmath` (weighted minimax, Remez exchange in 60 digits).

    python3 fit.py            # needs mpmath

Prints each coefficient list as Rust literals, rounded to the type it is used in, with the largest
weighted error of the rounded polynomial. The weight turns the error of the polynomial into the
relative error of the function it is part of.
"""

import struct

from mpmath import cos, factorial, log, log1p, lu_solve, matrix, mp, mpf, nstr, pi, polyval, sqrt

mp.dps = 60


def remez(f, w, n, a, b, rounds=12):
    """Minimax polynomial of degree n - 1: min max |w (p - f)| on [a, b]."""
    a, b = mpf(a), mpf(b)
    x = [(a + b) / 2 + (b - a) / 2 * cos(pi * (2 * (n - i) + 1) / (2 * n + 2)) for i in range(n + 1)]
    grid = [(a + b) / 2 - (b - a) / 2 * cos(pi * (i + mpf(1) / 3) / 600) for i in range(600)]
    fw = [(t, f(t), w(t)) for t in grid]
    for _ in range(rounds):
        m = matrix(n + 1, n + 1)
        rhs = matrix(n + 1, 1)
        for i, t in enumerate(x):
            for j in range(n):
                m[i, j] = t**j
            m[i, n] = (-1) ** i / w(t)
            rhs[i] = f(t)
        c = list(lu_solve(m, rhs))[:n]
        err = [(t, wt * (polyval(c[::-1], t) - ft)) for t, ft, wt in fw]
        x = extrema(err, n + 1)
    return c


def extrema(err, count):
    """The largest error of each run of one sign; the `count` consecutive ones that hold the most."""
    best = []
    for t, e in err:
        if best and (best[-1][1] > 0) == (e > 0):
            if abs(e) > abs(best[-1][1]):
                best[-1] = (t, e)
        else:
            best.append((t, e))
    while len(best) > count:
        best.pop(0 if abs(best[0][1]) < abs(best[-1][1]) else -1)
    assert len(best) == count, "too few alternations: the precision or the grid is too coarse"
    return [t for t, _ in best]


def rounded(c, kind):
    if kind == "f64":
        return float(c)
    # Ties of the double rounding do not occur among these coefficients.
    return struct.unpack("f", struct.pack("f", float(c)))[0]


def literal(v, kind):
    if kind == "f64":
        return repr(v)
    for digits in range(1, 10):
        s = f"{v:.{digits}e}"
        if struct.unpack("f", struct.pack("f", float(s)))[0] == v:
            return repr(float(s))
    raise AssertionError(v)


def show(name, kind, f, w, n, a, b):
    c = remez(f, w, n, a, b)
    r = [rounded(v, kind) for v in c]
    a, b = mpf(a), mpf(b)
    grid = [a + (b - a) * (i + mpf(1) / 7) / 997 for i in range(997)]
    worst = max(abs(w(t) * (polyval([mpf(v) for v in r[::-1]], t) - f(t))) for t in grid)
    print(f"// {name} {kind}, on [{nstr(a, 6)}, {nstr(b, 6)}]: 2^{nstr(log(worst, 2), 4)}")
    print("[" + ", ".join(literal(v, kind) for v in r) + "]")


def series(coefficient, x, terms=60):
    """A power series, for the functions whose closed forms cancel near zero."""
    return sum(coefficient(i) * x**i for i in range(terms))


def fit_all():
    half = log(2) / 2 + mpf("1e-4")
    q = lambda x: series(lambda i: 1 / factorial(i + 2), x)
    wq = lambda x: sqrt(x * x + mpf("0.01")) / (1 + x * q(x))  # never zero: Remez needs that
    for kind, n in [("f64", 10), ("f32", 6)]:
        show("(e^r - 1 - r)/r^2", kind, q, wq, n, -half, half)
    p = lambda x: series(lambda i: mpf(-1) ** i / (i + 3), x, 260)
    wp = lambda x: (x * x + mpf("0.01")) * x / log1p(x) if x else mpf("0.01")
    for kind, n in [("f64", 19), ("f32", 8)]:
        show("(ln(1 + f) - f + f^2/2)/f^3", kind, p, wp, n, "-0.25", "0.5")
    show("(ln(1 + f) - f + f^2/2)/f^3, for powf of f32", "f64", p, wp, 11, "-0.25", "0.5")
    s = lambda z: series(lambda i: mpf(-1) ** (i + 1) / factorial(2 * i + 3), z)
    ws = lambda z: (z + mpf("0.01")) / (1 + z * s(z))
    top = (pi / 2) ** 2 * mpf("1.001")
    show("(sin r - r)/r^3 in r^2", "f64", s, ws, 8, "1e-30", top)
    show("(sin r - r)/r^3 in r^2, for f32", "f64", s, ws, 5, "1e-30", top)
    show("(e^r - 1 - r)/r^2, for powf of f32", "f64", q, wq, 5, -half, half)
    # 2 atanh(s) = 2s + s^3 (2/3 + s^2 A(s^2)), so that ln m = 2 atanh((m - 1)/(m + 1)).
    t = lambda z: series(lambda i: mpf(2) / (2 * i + 5), z)
    wt = lambda z: (z + mpf("0.002")) ** 2 / 2
    show("(2 atanh(s) - 2s - 2/3 s^3)/s^5 in s^2", "f64", t, wt, 9, "1e-30", "0.0401")


def show_constants():
    """ln 2 and pi/2 in parts: leading parts with trailing zeros, for exact products without FMA."""
    def parts(v, bits):
        out = []
        for b in bits:
            e = int(mp.floor(log(abs(v), 2)))
            unit = mpf(2) ** (e - b + 1)
            out.append(float(mp.floor(v / unit) * unit if b < 53 else v))
            v -= mpf(out[-1])
        return out
    print("// ln 2 in 40 + 53 bits (f64), 13 + 24 bits (f32)")
    print(parts(log(2), [40, 53]), end=" ")
    h = parts(log(2), [13])[0]
    print([literal(rounded(h, "f32"), "f32"), literal(rounded(log(2) - mpf(h), "f32"), "f32")])
    print("// pi/2 in 53 + 53 + 53 bits, and in 24 + 24 + 53 bits")
    print(parts(pi / 2, [53, 53, 53]), parts(pi / 2, [24, 24, 53]))
    print("// 2/3 in two parts")
    print(2 / 3, float(mpf(2) / 3 - mpf(2 / 3)))


if __name__ == "__main__":
    fit_all()
    show_constants()
