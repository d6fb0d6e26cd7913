"""Holds a process to a number of threads; to be called before numerical libraries are imported."""

import json
import os
from pathlib import Path

# Libraries read these once, when they are loaded.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def limit(threads: int, turn: int) -> None:
    """Lets this process use `threads` processors.

    A library that sizes a pool by the processors it may use would otherwise start more threads
    than asked for. Which processors they are depends on the turn, so that a busy one does not
    slow down all rounds alike.
    """
    for variable in VARIABLES:
        os.environ[variable] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    # Not every system can tie a process to processors.
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    if threads < len(allowed):
        chosen = {allowed[(turn + i) % len(allowed)] for i in range(threads)}
        os.sched_setaffinity(0, chosen)


def limit_to_request(path: str) -> None:
    """Limits this process to what the request file asks for."""
    request = json.loads(Path(path).read_text())
    limit(request["threads"], request["turn"])
