"""What all peers share: the request, the candidates of an operation, and the records.

A peer script is called with the path of a request, a JSON object with the fields of `Request`; a
case's folder holds its data as little-endian f64, one file an array. It prints a JSON list of flat
records, one for each candidate: an operation in one of the ways ("modes") to have this engine do
it. A candidate that fails gives a record with `error` instead of times.
"""

import ctypes
import gc
import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from timing import Call, Pace, Timing, alternate

SUITE = "peers"

# Vectors in a block: the harness's constant of the same name.
BLOCK = 16


@dataclass(frozen=True)
class Case:
    """A problem in one number type and what to do with it."""

    name: str
    kind: str
    dtype: str
    ops: list[str]
    folder: Path
    # Of networks: inputs, hidden layers, outputs, and rows of data in a loss.
    sizes: list[int]
    batch: int

    def array(self, name: str) -> np.ndarray:
        """An array of the case's folder, flat, in the case's number type."""
        values = np.fromfile(self.folder / f"{name}.bin", dtype="<f8")
        return values.astype({"f32": np.float32, "f64": np.float64}[self.dtype])

    def inputs(self) -> np.ndarray:
        return self.array("inputs").reshape(-1, self.sizes[0])

    def targets(self) -> np.ndarray:
        return self.array("targets").reshape(-1, self.sizes[-1])

    def block(self) -> np.ndarray:
        """The vector turned by 0, 1, …: the harness's block."""
        v = self.array("v")
        return np.stack([np.roll(v, -row) for row in range(BLOCK)])

    def split(self, flat: Any) -> list[tuple[Any, Any]]:
        """The weights (inputs × outputs) and biases in a flat vector of any library."""
        layers, start = [], 0
        for rows, columns in zip(self.sizes, self.sizes[1:], strict=False):
            weights, bias = start + rows * columns, start + (rows + 1) * columns
            layers.append((flat[start:weights].reshape(rows, columns), flat[weights:bias]))
            start = bias
        return layers


@dataclass(frozen=True)
class Request:
    """What a peer is asked to measure."""

    threads: int
    # Which round this is, from 0.
    turn: int
    pace: Pace
    cases: list[Case]

    @classmethod
    def read(cls, path: str) -> "Request":
        raw = json.loads(Path(path).read_text())
        cases = [Case(**{**case, "folder": Path(case["folder"])}) for case in raw["cases"]]
        return cls(raw["threads"], raw["turn"], Pace(**raw["pace"]), cases)


@dataclass(frozen=True)
class Candidate:
    """A way to do an operation.

    `prepare` does everything up to the first call (tracing, linearizing) and returns the call,
    which ends when its result is there. `digest` turns the result into numbers to compare.
    """

    op: str
    mode: str
    prepare: Callable[[], Call]
    digest: Callable[[Any], dict[str, float]]
    results: int = 1
    # The bytes that a call takes, where the engine can tell; None measures nothing.
    peak_bytes: Callable[[Call], int | None] | None = None


@dataclass
class Measured:
    """A candidate that ran once."""

    candidate: Candidate
    call: Call
    record: dict[str, Any]


def first_calls(
    engine: str, case: Case, request: Request, candidates: Iterable[Candidate]
) -> tuple[list[Measured], list[dict[str, Any]]]:
    """Runs each candidate once: what ran, and records of what failed."""
    done, failed = [], []
    for candidate in candidates:
        if candidate.op not in case.ops:
            continue
        record: dict[str, Any] = {"suite": SUITE, "case": case.name, "engine": engine}
        record |= {"op": candidate.op, "dtype": case.dtype, "threads": request.threads}
        record |= {"mode": candidate.mode}
        try:
            start = perf_counter()
            call = candidate.prepare()
            result = call()
            record["seconds_first"] = perf_counter() - start
            digest = candidate.digest(result)
            if not all(map(math.isfinite, digest.values())):
                raise ValueError(f"the result is not finite: {digest}")
            record |= {f"digest_{name}": value for name, value in digest.items()}
            if candidate.peak_bytes and request.turn == 0:
                bytes_ = candidate.peak_bytes(call)
                record |= {} if bytes_ is None else {"peak_bytes": bytes_}
        except Exception as error:  # noqa: BLE001 - one mode's failure must not hide the others
            first_line = f"{type(error).__name__}: {error}".splitlines()[0]
            failed.append(record | {"error": first_line[:300]})
            continue
        done.append(Measured(candidate, call, record))
    return done, failed


def measure(
    engine: str, case: Case, request: Request, candidates: Iterable[Candidate]
) -> list[dict[str, Any]]:
    """The records of all candidates for the case's operations."""
    done, failed = first_calls(engine, case, request, candidates)
    timings = alternate([measured.call for measured in done], request.pace)
    timed = [
        measured.record | times(timing, measured.candidate.results)
        for measured, timing in zip(done, timings, strict=True)
    ]
    n = len(case.array("x"))
    return [{"n": n} | record for record in timed + failed]


def times(timing: Timing, results: int) -> dict[str, float]:
    return {
        "seconds_min": timing.minimum / results,
        "seconds_median": timing.median / results,
    }


def digest_of(result: np.ndarray, vector: np.ndarray) -> dict[str, float]:
    """Numbers that tell a wrong result: the norm, and the sum of products with a vector."""
    result = np.asarray(result, dtype=np.float64)
    return {
        "norm": float(np.linalg.norm(result)),
        "dot": float(np.sum(result @ vector.astype(np.float64))),
    }


def rss_growth(call: Call) -> int | None:
    """The growth of the process's resident memory during a call, where the system tells it."""
    gc.collect()
    try:
        # What earlier calls freed and the allocator kept would hide what this one takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError, TypeError):
        return None
    # The result is kept until the peak is read.
    before = status_bytes("VmRSS")
    result = call()
    growth = status_bytes("VmHWM") - before
    del result
    return growth if growth > 0 else None


def status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{name} is not in /proc/self/status")


def main(engine: str, candidates: Callable[[Case], Iterable[Candidate]]) -> None:
    """Measures what the request on the command line asks for."""
    request = Request.read(sys.argv[1])
    # A library that prints must not break the list.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    records = []
    for case in request.cases:
        records += measure(engine, case, request, candidates(case))
    json.dump(records, out, allow_nan=False)
    out.write("\n")
    out.close()
