"""Epochs of Adam by optax."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from common import Candidate, Case

LEARNING_RATE = 1e-3


def adam_candidates(case: Case, net: Any) -> Iterator[Candidate]:
    """One jitted function a step, as one trains; and all full batches in one compiled loop."""
    optimizer = optax.adam(LEARNING_RATE)
    inputs, targets = net.data
    rows = case.batch
    n_full = len(inputs) // rows

    def step(state: Any, batch: Any) -> Any:
        parameters, moments = state
        gradient = jax.grad(net.loss)(parameters, batch)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(parameters, updates), moments

    def start() -> list[Any]:
        return [(net.x, optimizer.init(net.x))]

    def stepwise() -> Callable[[], Any]:
        state, jitted = start(), jax.jit(step)
        cuts = range(0, len(inputs), rows)
        batches = [(inputs[at : at + rows], targets[at : at + rows]) for at in cuts]

        def epoch() -> Any:
            for batch in batches:
                state[0] = jitted(state[0], batch)
            return jax.block_until_ready(state[0])

        return epoch

    def scanned() -> Callable[[], Any]:
        def run(state: Any, full: Any, rest: Any) -> Any:
            state, _ = jax.lax.scan(lambda state, batch: (step(state, batch), None), state, full)
            return step(state, rest) if len(rest[0]) else state

        full = tuple(a[: n_full * rows].reshape(n_full, rows, -1) for a in (inputs, targets))
        rest = tuple(a[n_full * rows :] for a in (inputs, targets))
        state, jitted = start(), jax.jit(run)

        def epoch() -> Any:
            state[0] = jitted(state[0], full, rest)
            return jax.block_until_ready(state[0])

        return epoch

    def digest(state: Any) -> dict[str, float]:
        # Of the first epoch: later ones go on from where it ended.
        return {"value": float(jnp.asarray(net.loss(state[0], net.data)))}

    yield Candidate("adam_epoch", "jitted step", stepwise, digest)
    yield Candidate("adam_epoch", "jitted epoch (scan)", scanned, digest)
