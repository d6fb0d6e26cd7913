"""PyTorch: autograd, retained graphs and `torch.func`, all eager."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import threads

threads.limit_to_request(sys.argv[1])

import numpy as np  # noqa: E402 - threads are limited first
import torch  # noqa: E402
from common import BLOCK, Candidate, Case, digest_of, main, rss_growth  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.autograd import grad  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch_adam import adam_candidates  # noqa: E402

Tensors = tuple[Tensor, ...]


class Net:
    """The perceptron of a case over a tuple of weights and biases."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.inputs = torch.from_numpy(case.inputs())
        # Labels instead of unit rows: the faster form of the same loss.
        targets = case.targets()
        labels = targets.argmax(axis=1)
        if not np.array_equal(np.eye(case.sizes[-1])[labels], targets):
            raise ValueError(f"{case.name}: targets are not unit rows")
        self.labels = torch.from_numpy(labels)
        self.flat_v = case.array("v")
        self.x = tuple(t.requires_grad_() for t in self.pack(case.array("x")))
        self.v = self.pack(self.flat_v)

    def pack(self, flat: np.ndarray) -> Tensors:
        layers = self.case.split(torch.from_numpy(flat))
        return tuple(part.clone() for layer in layers for part in layer)

    def block(self) -> Tensors:
        rows = [self.pack(row) for row in self.case.block()]
        return tuple(torch.stack(parts) for parts in zip(*rows, strict=True))

    def outputs(self, *parameters: Tensor) -> Tensor:
        h, last = self.inputs, len(parameters) - 2
        for at in range(0, len(parameters), 2):
            h = torch.addmm(parameters[at + 1], h, parameters[at])
            h = h if at == last else torch.tanh(h)
        return h

    def loss_of(self, outputs: Tensor) -> Tensor:
        return F.cross_entropy(outputs, self.labels)

    def loss(self, *parameters: Tensor) -> Tensor:
        return self.loss_of(self.outputs(*parameters))

    def gradient(self) -> Tensors:
        """With the graph that a second derivative needs."""
        return grad(self.loss(*self.x), self.x, create_graph=True)

    def loss_hessian(self, outputs: Tensor) -> Callable[[Tensor], Tensor]:
        """The product with the Hessian of the loss by the outputs, in closed form."""
        p = torch.softmax(outputs.detach(), dim=1)
        p_by_rows = p / len(p)

        def product(t: Tensor) -> Tensor:
            return p_by_rows * (t - (p * t).sum(dim=1, keepdim=True))

        return product

    def digest(self, result: Tensors) -> dict[str, float]:
        shape = (BLOCK, -1) if result[0].ndim == 3 else (-1,)
        flat = np.concatenate([part.detach().numpy().reshape(shape) for part in result], axis=-1)
        return digest_of(flat, self.flat_v)


def gradient_candidates(net: Net) -> Iterator[Candidate]:
    at, every = net.x, tuple(range(len(net.x)))

    def value() -> Tensor:
        with torch.no_grad():
            return net.loss(*at)

    def backward() -> tuple[Tensor, Tensors]:
        value = net.loss(*at)
        return value, grad(value, at)

    with_value = torch.func.grad_and_value(net.loss, argnums=every)
    constants = tuple(x.detach() for x in at)

    def digest(result: tuple[Tensor, Tensors]) -> dict[str, float]:
        return {"value": result[0].item()} | net.digest(result[1])

    def functional() -> tuple[Tensor, Tensors]:
        return with_value(*constants)[::-1]

    yield Candidate("value", "no_grad", lambda: value, lambda result: {"value": result.item()})
    yield Candidate("value_and_grad", "autograd", lambda: backward, digest)
    yield Candidate("value_and_grad", "torch.func", lambda: functional, digest)
    yield Candidate("linearize", "create_graph", lambda: net.gradient, net.digest)


def hvp_candidates(net: Net) -> Iterator[Candidate]:
    at, v, every = net.x, net.v, tuple(range(len(net.x)))
    constants = tuple(x.detach() for x in at)
    gradient = torch.func.grad(net.loss, argnums=every)

    def double_backward() -> Tensors:
        return grad(net.gradient(), at, v)

    def forward_over_reverse() -> Tensors:
        return torch.func.jvp(gradient, constants, v)[1]

    yield Candidate("hvp", "double backward", lambda: double_backward, net.digest)
    yield Candidate("hvp", "jvp(grad)", lambda: forward_over_reverse, net.digest)

    def retained() -> Callable[[], Tensors]:
        g = net.gradient()
        return lambda: grad(g, at, v, retain_graph=True)

    def linearized() -> Callable[[], Tensors]:
        _, product = torch.func.linearize(gradient, *constants)
        return lambda: product(*v)

    yield Candidate("hvp_linearized", "retained graph", retained, net.digest)
    yield Candidate("hvp_linearized", "torch.func.linearize", linearized, net.digest)


def ggnvp_candidates(net: Net) -> Iterator[Candidate]:
    at, v = net.x, net.v
    constants = tuple(x.detach() for x in at)

    def functional() -> Tensors:
        outputs, tangent = torch.func.jvp(net.outputs, constants, v)
        middle = torch.func.jvp(torch.func.grad(net.loss_of), (outputs,), (tangent,))[1]
        return torch.func.vjp(net.outputs, *constants)[1](middle)

    def retained() -> Callable[[], Tensors]:
        # The cotangent's own derivative is the forward product: reverse mode twice, both graphs
        # kept.
        outputs = net.outputs(*at)
        cotangent = torch.zeros_like(outputs, requires_grad=True)
        pulled_back = grad(outputs, at, cotangent, create_graph=True)
        middle = net.loss_hessian(outputs)

        def product() -> Tensors:
            (tangent,) = grad(pulled_back, cotangent, v, retain_graph=True)
            return grad(outputs, at, middle(tangent), retain_graph=True)

        return product

    yield Candidate("ggnvp", "jvp, vjp", lambda: functional, net.digest)
    yield Candidate("ggnvp", "retained graphs", retained, net.digest)


def block_candidates(net: Net) -> Iterator[Candidate]:
    at = net.x
    constants = tuple(x.detach() for x in at)
    gradient = torch.func.grad(net.loss, argnums=tuple(range(len(at))))

    def batched() -> Callable[[], Tensors]:
        g, block = net.gradient(), net.block()
        return lambda: grad(g, at, block, retain_graph=True, is_grads_batched=True)

    def one_by_one() -> Callable[[], Tensors]:
        g, block = net.gradient(), net.block()
        rows = [tuple(part[row] for part in block) for row in range(BLOCK)]

        def products() -> Tensors:
            each = [grad(g, at, row, retain_graph=True) for row in rows]
            return tuple(torch.stack(parts) for parts in zip(*each, strict=True))

        return products

    def mapped() -> Callable[[], Tensors]:
        block = net.block()
        product = torch.vmap(lambda *v: torch.func.jvp(gradient, constants, v)[1])
        return lambda: product(*block)

    modes = {
        "retained graph, batched": batched,
        "retained graph, one by one": one_by_one,
        "vmap(jvp(grad))": mapped,
    }
    for mode, prepare in modes.items():
        yield Candidate("hvp_block16", mode, prepare, net.digest, BLOCK)


def hessian_candidates(net: Net) -> Iterator[Candidate]:
    case = net.case
    x = torch.from_numpy(case.array("x"))
    n = len(x)

    def loss(flat: Tensor) -> Tensor:
        return net.loss(*(part for layer in case.split(flat) for part in layer))

    def retained(chunk: int) -> Tensor:
        at = x.clone().requires_grad_()
        (g,) = grad(loss(at), at, create_graph=True)
        units = torch.eye(n, dtype=x.dtype).split(chunk)
        many = partial(grad, g, at, retain_graph=True, is_grads_batched=True)
        return torch.cat([many(rows)[0] for rows in units])

    def digest(result: Tensor) -> dict[str, float]:
        hessian = result.detach().numpy()
        product = hessian @ net.flat_v
        return {"norm": float(np.linalg.norm(hessian)), "dot": float(product @ net.flat_v)}

    reverse_twice = torch.func.jacrev(torch.func.grad(loss), chunk_size=64)
    modes = {
        "torch.func.hessian": partial(torch.func.hessian(loss), x),
        "jacrev(grad) in blocks of 64": partial(reverse_twice, x),
        "retained graph, all at once": partial(retained, n),
        "retained graph in blocks of 64": partial(retained, 64),
    }
    for mode, call in modes.items():
        # Smaller results are lost in what the allocator keeps.
        yield Candidate("hessian", mode, lambda call=call: call, digest, 1, rss_growth)


def candidates(case: Case) -> Iterator[Candidate]:
    net = Net(case)
    if case.kind == "adam":
        yield from adam_candidates(case, net)
        return
    families: list[Callable[[Any], Iterator[Candidate]]] = [
        gradient_candidates,
        hvp_candidates,
        ggnvp_candidates,
        block_candidates,
    ]
    if "hessian" in case.ops:
        families.append(hessian_candidates)
    for family in families:
        yield from family(net)


if __name__ == "__main__":
    main("torch", candidates)
