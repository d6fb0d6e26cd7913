"""Epochs of Adam by torch.optim."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from common import Candidate, Case
from torch.nn import functional as F

LEARNING_RATE = 1e-3


def adam_candidates(case: Case, net: Any) -> Iterator[Candidate]:
    """The implementations of the optimiser; the gradient is eager in each."""
    cuts = range(0, len(net.inputs), case.batch)
    batches = [(net.inputs[at : at + case.batch], net.labels[at : at + case.batch]) for at in cuts]

    def outputs(parameters: Any, inputs: torch.Tensor) -> torch.Tensor:
        h, last = inputs, len(parameters) - 2
        for at in range(0, len(parameters), 2):
            h = torch.addmm(parameters[at + 1], h, parameters[at])
            h = h if at == last else torch.tanh(h)
        return h

    def prepare(implementation: dict[str, bool]) -> Callable[[], Any]:
        parameters = [x.detach().clone().requires_grad_() for x in net.x]
        optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, **implementation)

        def epoch() -> Any:
            for inputs, labels in batches:
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(outputs(parameters, inputs), labels).backward()
                optimizer.step()
            return parameters

        return epoch

    def digest(parameters: Any) -> dict[str, float]:
        # Of the first epoch: later ones go on from where it ended.
        with torch.no_grad():
            return {"value": F.cross_entropy(outputs(parameters, net.inputs), net.labels).item()}

    for name in ("foreach", "fused"):
        yield Candidate("adam_epoch", name, partial(prepare, {name: True}), digest)
