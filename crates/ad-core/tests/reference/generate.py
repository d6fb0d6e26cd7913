#!/usr/bin/env python3
"""Writes the multiple-precision reference of the elementary functions in f64.

    python3 generate.py [samples per function] > vmath_f64.txt     # needs mpmath

A line "# name" starts a function. Each further line holds, as hexadecimal bits, its arguments and
the correctly rounded result, and in two more digits what the rounding left out, as 1/256 ulp in
two's complement. Arguments are random (fixed seed): spread evenly over the logarithm of the
magnitude, crowded around breakpoints of the range reductions and the edges of the range.
"""

import random
import struct
import sys

from mpmath import cos, exp, expm1, frexp, inf, ldexp, log, log1p, mp, mpf, nint, pi, sin, tanh

mp.prec = 240
TINIEST, LARGEST = 5e-324, 1.7976931348623157e308


def bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def from_bits(b):
    return struct.unpack("<d", struct.pack("<Q", b))[0]


def rounded(v):
    """The nearest f64 and the rest in 1/256 ulp."""
    if v == 0 or abs(v) == inf:
        return float(v), 0
    unit = max(frexp(v)[1] - 53, -1074)
    q = ldexp(v, -unit)
    n = nint(q)
    if abs(ldexp(n, unit)) >= ldexp(mpf(1), 1024):
        return (float("inf") if v > 0 else float("-inf")), 0
    rest = max(-128, min(127, int(nint((q - n) * 256))))
    return float(ldexp(n, unit)), rest


def near(rng, x, ulps=40):
    """A neighbour of x, a few ulps or a few parts in a thousand away."""
    if rng.random() < 0.5:
        b = bits(abs(x)) + rng.randint(-ulps, ulps)
        y = from_bits(max(0, min(b, bits(LARGEST))))
    else:
        y = abs(x) * (1 + rng.uniform(-1, 1) * 2.0 ** -rng.randint(8, 45))
    return y if x > 0 else -y


def log_uniform(rng, low, high):
    """A positive value, evenly spread between the bit patterns of the bounds."""
    return from_bits(rng.randint(bits(low), bits(high)))


def signed(rng, x):
    return x if rng.random() < 0.5 else -x


def exponential(rng, low, high):
    pick = rng.random()
    if pick < 0.3:
        return rng.uniform(low, high)
    if pick < 0.5:
        return near(rng, float((rng.randint(-1080, 1030) + mpf(rng.choice([0, 1])) / 2) * log(2)))
    if pick < 0.6:
        return near(rng, rng.choice([low, high, -708.3964185322641, -36.7, 36.7, -18.7, 19.1]))
    if pick < 0.8:
        return rng.uniform(-2, 2)
    return signed(rng, log_uniform(rng, TINIEST, 700.0))


def positive(rng):
    pick = rng.random()
    if pick < 0.3:
        return log_uniform(rng, TINIEST, LARGEST)
    if pick < 0.4:
        return log_uniform(rng, TINIEST, 2.3e-308)
    if pick < 0.7:
        return near(rng, rng.choice([0.75, 1.0, 1.5, 2.0, 0.5]) * 2.0 ** rng.choice([0, 0, 0, 1, -1, 7, 900]))
    return rng.uniform(0.3, 3)


def over_minus_one(rng):
    pick = rng.random()
    if pick < 0.3:
        return max(rng.choice([near(rng, -0.25), near(rng, 0.5), near(rng, 2.0), near(rng, -0.625)]), -1)
    if pick < 0.4:
        return -from_bits(bits(1.0) - rng.randint(1, 10 ** rng.randint(1, 14)))
    if pick < 0.7:
        return rng.uniform(-0.9, 3)
    x = log_uniform(rng, TINIEST, LARGEST)
    return -x if x < 1 and rng.random() < 0.5 else x


def closest_to_zeros():
    """For each exponent, the angles up to 2^30 that come closest to multiples of π/2: numerators of
    the convergents of (π/2)/2^e with 53 bits."""
    found = []
    for e in range(-52, -22):
        v, (p, q), (p_old, q_old) = pi / 2 / mpf(2) ** e, (1, 0), (0, 1)
        while p < 2**53:
            n = int(v)
            (p, q), (p_old, q_old) = (n * p + p_old, n * q + q_old), (p, q)
            v = 1 / (v - n)
            if 2**52 <= p < 2**53:
                found.append(float(ldexp(mpf(p), e)))
    return found


HARD_ANGLES = closest_to_zeros()


def angle(rng):
    pick = rng.random()
    if pick < 0.2:
        return rng.uniform(-4, 4)
    if pick < 0.4:
        return near(rng, signed(rng, float(rng.randint(1, 20) * pi / 2)))
    if pick < 0.43:
        return signed(rng, rng.choice(HARD_ANGLES))
    if pick < 0.55:
        # Multiples of π/2 over the range, where the reduction cancels most.
        return near(rng, signed(rng, float(nint(mpf(2) ** rng.uniform(4, 29.3)) * pi / 2)), 2)
    if pick < 0.7:
        return signed(rng, 2.0 ** rng.uniform(2, 30))
    if pick < 0.8:
        return signed(rng, log_uniform(rng, TINIEST, 1.0))
    return signed(rng, log_uniform(rng, 2.0**30, LARGEST) if rng.random() < 0.3 else rng.uniform(0, 100))


def hyperbolic(rng):
    pick = rng.random()
    if pick < 0.5:
        return rng.uniform(-3, 3)
    if pick < 0.7:
        return near(rng, signed(rng, float((rng.randint(0, 60) + mpf(1) / 2) * log(2) / 2)))
    if pick < 0.8:
        return rng.uniform(-22, 22)
    return signed(rng, log_uniform(rng, TINIEST, LARGEST if rng.random() < 0.1 else 20.0))


def base_and_power(rng):
    pick = rng.random()
    if pick < 0.25:
        x = near(rng, rng.choice([1.0, 0.75, 1.5, 2.0]))
    elif pick < 0.6:
        x = rng.uniform(0.1, 10)
    else:
        x = log_uniform(rng, TINIEST, LARGEST)
    if rng.random() < 0.15:
        n = rng.choice([2, 3, -1, 5, 17, -2, 100, 101])
        return signed(rng, x), float(n)
    ln = log(mpf(x))
    if ln == 0 or rng.random() < 0.1:
        return x, signed(rng, log_uniform(rng, 1e-20, 1e20))
    y = mpf(rng.uniform(-746, 711) if rng.random() < 0.7 else rng.uniform(-3, 3)) / ln
    return x, float(max(-LARGEST, min(LARGEST, y)))


def safe_exp(v):
    """exp, without working out millions of digits of an overflow."""
    return mpf(0) if v < -2000 else inf if v > 2000 else exp(v)


def power(x, y):
    size = safe_exp(y * log(abs(x)))
    return -size if x < 0 and int(y) % 2 else size


def logistic(x):
    return 1 / (1 + exp(-x)) if x > -2000 else mpf(0)


def softplus(x):
    return x + log1p(exp(-x)) if 0 < x < 2000 else x if x > 0 else log1p(safe_exp(x))


FUNCTIONS = {
    "exp": (lambda r: [exponential(r, -746.0, 710.0)], exp),
    "exp_m1": (lambda r: [exponential(r, -50.0, 710.0)], lambda x: expm1(x) if x < 2000 else inf),
    "ln": (lambda r: [positive(r)], log),
    "ln_1p": (lambda r: [over_minus_one(r)], log1p),
    "sin": (lambda r: [angle(r)], sin),
    "cos": (lambda r: [angle(r)], cos),
    "tanh": (lambda r: [hyperbolic(r)], lambda x: tanh(x) if abs(x) < 200 else mpf(1 if x > 0 else -1)),
    "sigmoid": (lambda r: [exponential(r, -746.0, 40.0)], logistic),
    "softplus": (lambda r: [exponential(r, -746.0, 40.0)], softplus),
    "powf": (lambda r: list(base_and_power(r)), power),
}


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 700
    for name, (draw, function) in FUNCTIONS.items():
        print("#", name)
        rng = random.Random(name)
        # No zeros: mpmath has no sign for them.
        samples = [[x or TINIEST for x in draw(rng)] for _ in range(count)]
        # Large angles last: they take another way, together with the block they are in.
        for args in sorted(samples, key=lambda args: abs(args[0]) > 2**30):
            # 1 + x of the tiniest x, and 2/π to the last digit of the largest, need them all.
            mp.prec = 1300 if abs(mpf(args[0])) > 2**60 or abs(mpf(args[0])) < 2**-60 else 240
            value, rest = rounded(function(*map(mpf, args)))
            if value == 0 and name == "powf" and args[0] < 0 and args[1] % 2:
                value = -0.0
            print("".join(f"{bits(v):016x}" for v in [*args, value]) + f"{rest & 255:02x}")


if __name__ == "__main__":
    main()
