"""Prints minima.txt: stationary points and values of the problems, limits at infinity included.

    python minima.py > minima.txt

Each line: number, n, kind, "f", value or "x", point. Points are found by Newton's method from the
approximations below, which were found by running minimisers from many starts; the kind follows from
the eigenvalues of the Hessian. A limit is a stationary point of the problem that is left when some
variables have gone to infinity.
"""

import mpmath
import numpy as np

from multiple import hessian, newton, numbers, text, value
from problems import (BARD, GAUSSIAN, KOWALIK_U, KOWALIK_Y, OSBORNE_1, Problem, mp_numbers, problems)

K = mp_numbers()

# By (number, n).
POINTS = {
    (2, 2): ["5 4", "11.412779 -0.896805"],
    (3, 2): ["1.0981593297e-5 9.10614673987"],
    (5, 2): ["3 .5", "0 1"],
    (6, 2): [".257825 .257825"],
    (8, 3): [".0824105597 1.13303609 2.34369518", ".22364 -8.761506 12.583951",
             ".052165 -.386519 3.974571", ".234216 -4.44967 8.45084", ".127406 -.853545 4.704845",
             ".188039 -1.553006 5.595104"],
    (9, 3): [".398956137839 1.00001908449 0"],
    (10, 3): [".00560963647103 6181.34634629 345.223634624"],
    (11, 3): ["50 25 1.5"],
    (14, 4): ["1 1 1 1", "-.9679740 .9471391 -.9695163 .9512476"],
    (15, 4): [".192806934579 .191282328734 .123056506926 .136062330684",
              ".225356 -.414754 -.024453 -.17797", ".233924 -1.292283 -.835833 -.550677"],
    (16, 4): ["-11.5944399048 13.2036300512 -.403439488177 .236778774456"],
    (17, 5): [".37541005 1.93584691 -1.46468714 .01286753464 .02212269966"],
    (18, 6): ["1 10 1 5 4 3"],
    (19, 11): ["1.309977 .431554 .633662 .599431 .754183 .904289 1.365812 4.823699 2.398685 "
               "4.568875 5.675341",
               "1.568849 -1.413036 -.56393 .948425 .14537 .340594 9.458839 .930425 2.107709 "
               "6.336953 2.19275"],
    (20, 6): ["-.015725 1.012435 -.232992 1.26043 -1.513729 .992996"],
    (20, 9): ["-1.530704e-05 .9997897 1.476396e-02 .1463423 1.000821 -2.617731 4.104403 -3.143612 "
              "1.052626"],
    (20, 12): ["-6.638060e-09 1.000002 -5.639322e-04 .3478205 -.1567315 1.052815 -3.247271 "
               "7.288435 -10.27185 9.074114 -4.541375 1.012012"],
    (23, 4): [" ".join([".250007499588"] * 4)],
    (23, 10): [" ".join([".158122301113"] * 10)],
    (24, 4): [".199999 .191317 .480101 .518845"],
    (24, 10): [".199984 .010351 .019605 .032089 .049933 .076514 .118624 .192145 .347321 .369164"],
    (26, 10): [" ".join(["0"] * 10),
               ".055151 .056841 .058764 .060991 .063626 .066843 .208162 .164363 .085007 .091431",
               ".053913 .055497 .057286 .059337 .06173 .257886 .068114 .072623 .078462 .083754",
               ".0515389 -6.2301639 .0546969 .0566196 .0588706 .0615797 -6.0648086 6.3527079 "
               ".1437281 .0925312",
               ".062492 .064473 .066706 .069245 .275398 .075446 .07903 .082273 .083639 .082089"],
    (27, 10): [" ".join(["1"] * 10), " ".join([".9794303"] * 9) + " 1.205697",
               "-.9031882 .1065381 " + " ".join(["-.9031882"] * 7) + " 18.9105292"],
    (28, 10): ["-.043165 -.081577 -.114486 -.140974 -.159909 -.169877 -.16909 -.15525 -.125356 "
               "-.075417"],
    (29, 10): ["-.043165 -.081577 -.114486 -.140974 -.159909 -.169877 -.16909 -.15525 -.125356 "
               "-.075417"],
    (30, 10): ["-.570722 -.681807 -.70221 -.705511 -.704906 -.701497 -.691889 -.665797 -.596035 "
               "-.416412"],
    (31, 10): ["-.428303 -.476596 -.519652 -.558099 -.592506 -.624504 -.623239 -.621394 -.620454 "
               "-.586469"],
    (35, 8): [".043153 .193091 .266329 .5 .5 .733671 .806909 .956847"],
    (35, 9): [".044205 .199491 .235619 .416047 .5 .583953 .764381 .800509 .955795"],
    (35, 10): [".05962 .166708 .239171 .398884 .398884 .601116 .601116 .760829 .833292 .94038"],
}


def limits():
    """What is left at infinity: (number, n), start, residuals."""
    a, exp = K.array, K.exp
    i = numbers(range(1, 11))
    # x₂ → 1, x₁(1 − x₂) fixed
    yield (5, 2), "1", lambda x: K.array(["1.5", "2.25", "2.625"]) - i[:3] * x[0]
    # x₁ → −∞
    yield (6, 2), "0.33", lambda x: 2 + 2 * i - exp(i * x[0])
    # x₂, x₃ → ∞
    yield (8, 3), "1", lambda x: a(BARD) - x[0]
    # x₁ → 0
    yield (9, 3), "0", lambda x: join(a(GAUSSIAN + GAUSSIAN[-2::-1]), x)
    # x₂ → ∞
    t = i / 10
    yield (12, 3), "1 1", lambda x: exp(-t * x[0]) - x[1] * (exp(-t) - exp(-10 * t))
    # x₂ → ∞; the same value is taken where x₁ = x₅, so that one term is lost
    t = numbers(range(1, 14)) / 10
    target = exp(-t) - 5 * exp(-10 * t) + 3 * exp(-4 * t)
    yield (18, 6), "17.6832 -5.1866 1.7114 2.3263", lambda x: (
        x[1] * exp(-t * x[0]) + x[3] * exp(-t * x[2]) - target)
    # x₁, −x₃, −x₄ → ∞ in fixed ratios
    y, u = a(KOWALIK_Y), a(KOWALIK_U)
    yield (15, 4), "-14.07588 -45.2572 -28.2315", lambda x: (
        y - (u**2 + u * x[0]) / (x[1] * u + x[2]))
    # x₁ → 0, x₁x₂ fixed
    yield (15, 4), "2.43 7.478 5.044", lambda x: y - x[0] * u / (u**2 + u * x[1] + x[2])
    y, t = a(OSBORNE_1), 10 * numbers(range(33))
    # x₄ → ∞, which fits the first value alone
    yield (17, 5), ".1293531 .9045612 .004080478", lambda x: (
        y[1:] - (x[0] + x[1] * exp(-t[1:] * x[2])))


def join(*parts):
    return np.concatenate(parts)


def kind(problem, x):
    h = hessian(problem, x)
    least = min(mpmath.eigsy(mpmath.matrix(((h + h.T) / 2).tolist()), eigvals_only=True))
    return "minimum" if least > 0 else "saddle"


def main():
    for problem in problems(K):
        key = (problem.number, problem.n)
        for start in POINTS.get(key, []):
            x = newton(problem, numbers(start.split()))
            name = kind(problem, x)
            f = value(problem, x)
            print(*key, name, "f", text(f if f > mpmath.mpf(10) ** -60 else mpmath.mpf(0)))
            print(*key, name, "x", *map(text, x), flush=True)
    for key, start, residuals in limits():
        start = start.split()
        rest = Problem(key[0], "at infinity", len(start), start, residuals)
        x = numbers(start)
        if key[0] != 9:
            x = newton(rest, x)
            assert kind(rest, x) == "minimum"
        print(*key, "limit", "f", text(value(rest, x)), flush=True)


main()
