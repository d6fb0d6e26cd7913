"""Prints values.txt: f, ∇f and Hv of every problem at the standard start and at another point.

    python values.py > values.txt
"""

from multiple import gradient, numbers, product, text, value
from problems import mp_numbers, problems


def line(problem, point, what, values):
    print(problem.number, problem.n, point, what, *values)


def main():
    for problem in problems(mp_numbers()):
        n = problem.n
        # Both points and the vector are doubles, so that others can start from the same numbers.
        start = [float(v) for v in problem.start]
        beside = [1.0625 * x + 0.03125 * (j + 1) / n for j, x in enumerate(start)]
        v = [(-1) ** j / (j + 1) for j in range(n)]
        line(problem, "-", "v", map(repr, v))
        for point, x in [("start", start), ("beside", beside)]:
            line(problem, point, "x", map(repr, x))
            x = numbers(x)
            line(problem, point, "f", [text(value(problem, x))])
            line(problem, point, "g", map(text, gradient(problem, x)))
            line(problem, point, "h", map(text, product(problem, x, numbers(v))))


main()
