#!/usr/bin/env python3
"""Writes derivatives.txt: first and second derivatives of elementwise functions, and softmax_rows.txt:
the softmax cross-entropy of single rows with its derivatives. By mpmath, from closed forms.

    python3 derivatives.py            (needs mpmath; takes some seconds; fixed seed)

derivatives.txt: sections "# NAME CONSTANT TYPE"; in a section lines of hexadecimal f64 bit patterns: the
argument (two for a function of two), then the derivatives, rounded to nearest: f', f'' of one argument;
f_x, f_y, f_xx, f_xy, f_yy of two. TYPE is the type whose numbers the arguments (and the constant) are.

softmax_rows.txt: sections "# TYPE n", then lines with n numbers each: the logits, a target with sum one,
a vector v, p, the gradient p - t, the product p * (v - <p, v>); and a line with the loss.
"""
import random
import struct
from mpmath import mp, mpf

mp.prec = 2600
rng = random.Random(20240601)


def bits(x):
    return "%016x" % struct.unpack("<Q", struct.pack("<d", x))[0]


def nearest(x):
    """The nearest f64; subnormal numbers and infinities come out as such."""
    if x == 0:
        return 0.0
    big = mpf(2) ** 1024
    if abs(x) >= big - mpf(2) ** 970:
        return float("inf") if x > 0 else float("-inf")
    e = max(mp.floor(mp.log(abs(x), 2)) - 52, -1074)
    unit = mpf(2) ** int(e)
    return float(mp.nint(x / unit) * unit)


def single(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def round_to(kind, x):
    if kind == "f64":
        return x
    return single(max(min(x, 3.4e38), -3.4e38))


def over_all_binades(kind, count, low=None, high=None):
    first, last = {"f64": (-1022, 1023), "f32": (-126, 127)}[kind]
    first, last = (first if low is None else low), (last if high is None else high)
    exponents = [first + (last - first) * i // (count - 1) for i in range(count)]
    for e in exponents:
        yield round_to(kind, rng.uniform(1, 1.999) * 2.0**e)


def around(kind, count, size):
    for _ in range(count):
        yield round_to(kind, rng.uniform(-size, size))


def both_signs(values):
    for x in values:
        yield x if rng.random() < 0.5 else -x


def line_of(kind):
    tail = 710.0 if kind == "f64" else 88.0
    points = list(both_signs(over_all_binades(kind, 24)))
    points += list(around(kind, 8, 1.0)) + list(around(kind, 12, 40.0)) + list(around(kind, 12, tail))
    return points


def sech2(x):
    return 1 / mp.cosh(x) ** 2


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def slope(x):
    return 1 / (4 * mp.cosh(x / 2) ** 2)


# name: (arguments by type, f', f'')
UNARY = {
    "exp": (line_of, mp.exp, mp.exp),
    "exp_m1": (line_of, mp.exp, mp.exp),
    "tanh": (line_of, sech2, lambda x: -2 * mp.tanh(x) * sech2(x)),
    "sigmoid": (line_of, slope, lambda x: -slope(x) * mp.tanh(x / 2)),
    "softplus": (line_of, logistic, slope),
    "sin": (line_of, mp.cos, lambda x: -mp.sin(x)),
    "cos": (line_of, lambda x: -mp.sin(x), lambda x: -mp.cos(x)),
    "square": (line_of, lambda x: 2 * x, lambda x: mpf(2)),
    "sqrt": (lambda k: over_all_binades(k, 40), lambda x: 1 / (2 * mp.sqrt(x)),
             lambda x: -1 / (4 * x * mp.sqrt(x))),
    "ln": (lambda k: over_all_binades(k, 40), lambda x: 1 / x, lambda x: -1 / x**2),
    "ln_1p": (lambda k: list(over_all_binades(k, 40)) + [round_to(k, -1 + 2.0 ** -i) for i in range(1, 20)],
              lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2),
    "recip": (lambda k: both_signs(over_all_binades(k, 40)), lambda x: -1 / x**2, lambda x: 2 / x**3),
    "recip_of_square": (lambda k: both_signs(over_all_binades(k, 40)), lambda x: -2 / x**3, lambda x: 6 / x**4),
    "quotient_by_square": (lambda k: both_signs(over_all_binades(k, 40)), lambda x: -6 / x**3,
                           lambda x: 18 / x**4),
    "ln_of_recip": (lambda k: over_all_binades(k, 40), lambda x: -1 / x, lambda x: 1 / x**2),
}
POWF = [2.5, -1.3, 0.1, 1 / 3, 1.1, -0.75, 3.0, -2.0, 0.9, 7.3, -0.01]
POWI = [-1, -2, -3, -4, -5, -9, 2, 3, 4, 7]


def rows_of(kind, points, derivatives):
    for point in points:
        point = point if isinstance(point, tuple) else (point,)
        exact = [mpf(x) for x in point]
        yield " ".join(bits(x) for x in [*point, *(nearest(d(*exact)) for d in derivatives)])


def pairs(kind):
    limit = {"f64": 1000, "f32": 120}[kind]
    for x in both_signs(over_all_binades(kind, 40, -limit, limit)):
        near = rng.choice([1.0, 1.0 + 2.0**-20, 0.7, rng.uniform(-2, 2), 2.0 ** rng.uniform(-30, 30)])
        y = round_to(kind, x * near)
        if y != 0 and abs(y) < 2.0**limit * 2:
            yield (x, y)


def r2(x, y):
    return x * x + y * y




def elementwise():
    out = []
    for kind in ["f64", "f32"]:
        for name, (points, *derivatives) in UNARY.items():
            out.append(f"# {name} {bits(0.0)} {kind}")
            out += rows_of(kind, points(kind), derivatives)
        for c in POWF:
            c = round_to(kind, c)
            e = mpf(c)
            out.append(f"# powf {bits(c)} {kind}")
            out += rows_of(kind, over_all_binades(kind, 40),
                           [lambda x: e * x ** (e - 1), lambda x: e * (e - 1) * x ** (e - 2)])
        for n in POWI:
            out.append(f"# powi {bits(float(n))} {kind}")
            out += rows_of(kind, both_signs(over_all_binades(kind, 40)),
                           [lambda x: n * x ** (n - 1), lambda x: n * (n - 1) * x ** (n - 2)])
        # atan2 of (y, x) = its two arguments in this order.
        out.append(f"# atan2 {bits(0.0)} {kind}")
        out += rows_of(kind, pairs(kind), [
            lambda y, x: x / r2(x, y), lambda y, x: -y / r2(x, y),
            lambda y, x: -2 * x * y / r2(x, y) ** 2,
            lambda y, x: (y - x) * (y + x) / r2(x, y) ** 2,
            lambda y, x: 2 * x * y / r2(x, y) ** 2])
        out.append(f"# div {bits(0.0)} {kind}")
        out += rows_of(kind, pairs(kind), [
            lambda x, y: 1 / y, lambda x, y: -x / y**2, lambda x, y: mpf(0),
            lambda x, y: -1 / y**2, lambda x, y: 2 * x / y**3])
        out.append(f"# hypot {bits(0.0)} {kind}")
        out += rows_of(kind, pairs(kind), [
            lambda x, y: x / mp.sqrt(r2(x, y)), lambda x, y: y / mp.sqrt(r2(x, y)),
            lambda x, y: y * y / mp.sqrt(r2(x, y)) ** 3, lambda x, y: -x * y / mp.sqrt(r2(x, y)) ** 3,
            lambda x, y: x * x / mp.sqrt(r2(x, y)) ** 3])
    return out


LOGITS = [
    [20.0, 10.0], [20.0, 0.0], [1e8, 1e8], [1e16, 1e16], [1e15, 1e15], [1000.0, 1000.0], [0.0, -30.0],
    [0.0, -600.0], [-300.1, 0.2], [0.3, 300.7], [1e30, -1e30], [87.3, -1.1, 0.4], [3.0, 3.0, -40.0],
    [1e4 + 0.125, 1e4, 1e4 - 0.5], [-5.0, -5.0, -5.0, -5.0], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
    [-88.7, 13.3, 13.2, -1.0], [1e6, 1e6 - 1, 1e6 - 2],
]
WIDE = {"f64": [[1e308, -1e308], [1e16, 1e16 + 2], [-700.3, 1.7]], "f32": [[3e38, -3e38]]}


def softmax():
    out = []
    for kind in ["f64", "f32"]:
        rows = LOGITS + WIDE[kind]
        rows += [[rng.gauss(0, s) for _ in range(n)] for n in [2, 3, 10] for s in [1, 30, 300, 1e5]]
        for row in rows:
            z = [round_to(kind, x) for x in row]
            for hard in range(2):
                # Quarters have an exact sum of one.
                best = z.index(max(z))
                t = [0.0] * len(z)
                t[best if hard == 0 else len(z) - 1] += 1.0 if hard == 0 else 0.75
                t[0] += 0.0 if hard == 0 else 0.25
                v = [round_to(kind, rng.gauss(0, 1)) for _ in z]
                exact = [mpf(x) for x in z]
                m = max(exact)
                e = [mp.exp(x - m) for x in exact]
                s = sum(e)
                p = [x / s for x in e]
                loss = sum(mpf(w) * (mp.log(s) + m - x) for w, x in zip(t, exact))
                mean = sum(x * mpf(w) for x, w in zip(p, v))
                # Without the winner's cancelling term, in many digits all the same.
                product = [x * (mpf(w) - mean) for x, w in zip(p, v)]
                gradient = [x - mpf(w) for x, w in zip(p, t)]
                out.append(f"# {kind} {len(z)}")
                for values in [z, t, v, p, gradient, product, [loss]]:
                    out.append(" ".join(bits(nearest(mpf(x))) for x in values))
    return out


if __name__ == "__main__":
    for name, lines in [("derivatives.txt", elementwise()), ("softmax_rows.txt", softmax())]:
        with open(name, "w") as file:
            file.write("\n".join(lines) + "\n")
