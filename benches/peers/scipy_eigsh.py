"""ARPACK on the very operator of `cargo run -p optim --example digits_spectrum`: values and products.

Usage: python scipy_eigsh.py target/debug/examples/digits_spectrum
"""

import struct
import subprocess
import sys

import numpy as np
import scipy
from scipy.sparse.linalg import LinearOperator, eigsh

PAIRS = 10


def main() -> None:
    with subprocess.Popen(
        [sys.argv[1], "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        (n,) = struct.unpack("<Q", server.stdout.read(8))
        count = 0

        def product(x: np.ndarray) -> np.ndarray:
            nonlocal count
            count += 1
            server.stdin.write(np.asarray(x, dtype="<f8").ravel().tobytes())
            server.stdin.flush()
            return np.frombuffer(server.stdout.read(8 * n), dtype="<f8")

        hessian = LinearOperator((n, n), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(n)
        for which in ("LA", "SA"):
            count = 0
            values, _ = eigsh(hessian, k=PAIRS, which=which, v0=start, tol=0)
            print(f"scipy {scipy.__version__} {which}: {count} products")
            for value in sorted(values, reverse=which == "LA"):
                print(f"  {value:.15f}")
        server.stdin.close()


if __name__ == "__main__":
    main()
