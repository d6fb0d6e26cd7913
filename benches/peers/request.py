"""Writes a request and its data without the harness: `request.py FOLDER [--quick]`.

The data are the harness's own, but for the initial parameters, which numpy draws here: for work on
the peers themselves. Results of such a run agree among the peers, not with the harness's.
"""

import argparse
import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

DIGITS = Path(__file__).parents[2] / "crates" / "optim" / "data" / "digits.csv.gz"
WHITE = 16.0
SEED = 1

OPS = ["value", "value_and_grad", "linearize", "hvp", "hvp_linearized", "ggnvp", "hvp_block16"]

# Layer sizes, rows, and whether a dense Hessian fits.
NETWORKS: list[tuple[list[int], int, bool]] = [
    ([2, 16, 1], 1, True),
    ([64, 20, 15, 10], 256, True),
    ([64, 128, 64, 10], 256, False),
    ([784, 256, 128, 10], 256, False),
    ([784, 1024, 512, 256, 128, 64, 10], 512, False),
]

# Rows of one epoch, in batches.
EPOCH_ROWS, EPOCH_BATCH = 1437, 64

ROSENBROCK_N = 1000


def digits() -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(DIGITS, "rt") as file:
        table = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    return table[:, :-1] / WHITE, table[:, -1].astype(int)


def network_data(sizes: list[int], rows: int) -> dict[str, np.ndarray]:
    """Rows and columns of the digits, from the start again where there are too few."""
    pixels, labels = digits()
    row, column = np.arange(rows) % len(pixels), np.arange(sizes[0]) % pixels.shape[1]
    parameters = []
    random = np.random.default_rng(SEED)
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        bound = (6.0 / (n_in + n_out)) ** 0.5
        parameters += [random.uniform(-bound, bound, n_in * n_out), np.zeros(n_out)]
    x = np.concatenate(parameters)
    return {
        "inputs": pixels[np.ix_(row, column)],
        "targets": np.eye(sizes[-1])[labels[row] % sizes[-1]],
        "x": x,
        "v": vector(len(x)),
    }


def vector(n: int) -> np.ndarray:
    return np.cos(1.7 * np.arange(n) + 0.3)


def case(folder: Path, data: dict[str, np.ndarray], **fields: Any) -> dict[str, Any]:
    """Writes the arrays of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in data.items():
        values.astype("<f8").tofile(folder / f"{name}.bin")
    return {"folder": str(folder.resolve()), **fields}


def cases(folder: Path) -> list[dict[str, Any]]:
    found = []
    for sizes, batch, dense in NETWORKS:
        name = f"{'-'.join(map(str, sizes))}/b{batch}"
        ops = OPS + (["hessian"] if dense else [])
        fields = {"name": name, "kind": "network", "ops": ops, "sizes": sizes, "batch": batch}
        fields |= {"engines": ["jax", "torch"]}
        data = network_data(sizes, batch)
        for dtype in ("f64", "f32"):
            found.append(case(folder / name.replace("/", "-"), data, dtype=dtype, **fields))
    sizes = [64, 128, 64, 10]
    fields = {"name": "64-128-64-10/b64", "kind": "adam", "ops": ["adam_epoch"], "sizes": sizes}
    fields |= {"batch": EPOCH_BATCH, "dtype": "f64", "engines": ["jax", "torch"]}
    found.append(case(folder / "epoch", network_data(sizes, EPOCH_ROWS), **fields))
    x = np.where(np.arange(ROSENBROCK_N) % 2 == 0, -1.2, 1.0)
    fields = {"name": f"rosenbrock/n{ROSENBROCK_N}", "kind": "rosenbrock", "dtype": "f64"}
    fields |= {"ops": ["value", "value_and_grad", "hvp", "hessian_sparse"], "engines": ["casadi"]}
    found.append(case(folder / "rosenbrock", {"x": x, "v": vector(len(x))}, **fields))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a request and its data.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="short measurements in one round")
    arguments = parser.parse_args()
    everywhere = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    request = {
        "engines": ["jax", "torch", "casadi"],
        "threads": sorted({1, everywhere or os.cpu_count() or 1}),
        "rounds": 1 if arguments.quick else 3,
        "pace": {"op_seconds": 0.05, "min_samples": 3} if arguments.quick else {"op_seconds": 0.3},
        "cases": cases(arguments.folder),
    }
    (arguments.folder / "request.json").write_text(json.dumps(request, indent=1) + "\n")


if __name__ == "__main__":
    main()
