"""JAX: jitted, with 64-bit numbers where they are asked for, every result waited for."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import threads

threads.limit_to_request(sys.argv[1])

import jax  # noqa: E402 - threads are limited first
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from common import BLOCK, Candidate, Case, digest_of, main  # noqa: E402
from jax_adam import adam_candidates  # noqa: E402

jax.config.update("jax_enable_x64", True)
# A caller that waits for each result gains nothing from another thread, and pays for the change.
jax.config.update("jax_cpu_enable_async_dispatch", False)

# Above this many parameters, what it costs to pass arrays is lost in the products.
MAX_FLAT = 20_000


class Net:
    """The perceptron of a case over parameters in one of two layouts.

    As a tree of weights and biases there is nothing to cut out of a vector; as one vector there
    are fewer arrays to pass. Which is faster depends on the sizes, so both are measured.
    """

    def __init__(self, case: Case, layout: str) -> None:
        self.case, self.layout = case, layout
        self.data = jnp.asarray(case.inputs()), jnp.asarray(case.targets())
        self.flat_v = case.array("v")
        self.x = self.pack(case.array("x"))
        self.v = self.pack(self.flat_v)
        self.block = jax.vmap(self.pack)(jnp.asarray(case.block()))

    def pack(self, flat: Any) -> Any:
        flat = jnp.asarray(flat)
        return flat if self.layout == "flat" else self.case.split(flat)

    def outputs(self, parameters: Any, inputs: jax.Array) -> jax.Array:
        layers = self.case.split(parameters) if self.layout == "flat" else parameters
        h = inputs
        for weights, bias in layers[:-1]:
            h = jnp.tanh(h @ weights + bias)
        weights, bias = layers[-1]
        return h @ weights + bias

    def loss(self, parameters: Any, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        return loss_of_outputs(self.outputs(parameters, data[0]), data[1])

    def digest(self, result: Any) -> dict[str, float]:
        """Of a gradient, a product, or a block of products."""
        leaves = jax.tree.leaves(result)
        shape = (BLOCK, -1) if leaves[0].ndim == jax.tree.leaves(self.x)[0].ndim + 1 else (-1,)
        flat = np.concatenate([np.asarray(leaf).reshape(shape) for leaf in leaves], axis=-1)
        return digest_of(flat, self.flat_v)


def loss_of_outputs(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(outputs), axis=1))


class Waiting:
    """A compiled function on its arguments: a call ends when the result is there.

    Compiled ahead, which a call costs no more than `jit` does, for the compiler's account of its
    memory.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.compiled = jax.jit(function).lower(*arguments).compile()
        self.arguments = arguments

    def __call__(self) -> Any:
        return jax.block_until_ready(self.compiled(*self.arguments))


def planned_bytes(call: Any) -> int:
    """Workspace and results of the compiled function, by the compiler's own account."""
    stats = call.compiled.memory_analysis()
    return stats.temp_size_in_bytes + stats.output_size_in_bytes


def hvp_at(net: Net, x: Any, v: Any, data: Any) -> Any:
    return jax.jvp(lambda x: jax.grad(net.loss)(x, data), (x,), (v,))[1]


def hvp_function(net: Net, x: Any, data: Any) -> tuple[Any, Any]:
    """The gradient at x, and the function v ↦ H·v, a tree of arrays that holds its residuals."""
    return jax.linearize(lambda x: jax.grad(net.loss)(x, data), x)


def ggnvp_at(net: Net, x: Any, v: Any, data: Any) -> Any:
    inputs, targets = data
    outputs, tangent = jax.jvp(lambda x: net.outputs(x, inputs), (x,), (v,))
    gradient = jax.grad(lambda outputs: loss_of_outputs(outputs, targets))
    cotangent = jax.jvp(gradient, (outputs,), (tangent,))[1]
    return jax.vjp(lambda x: net.outputs(x, inputs), x)[1](cotangent)[0]


def ggnvp_parts(net: Net, x: Any, data: Any) -> tuple[Any, Any, Any]:
    """The three linear functions of G·v at x, each with its residuals."""
    inputs, targets = data
    outputs, forward = jax.linearize(lambda x: net.outputs(x, inputs), x)
    _, backward = jax.vjp(lambda x: net.outputs(x, inputs), x)
    gradient = jax.grad(lambda outputs: loss_of_outputs(outputs, targets))
    _, middle = jax.linearize(gradient, outputs)
    return forward, middle, backward


def apply(function: Any, v: Any) -> Any:
    """Residuals are arguments here: computed once, before."""
    return function(v)


def apply_block(function: Any, block: Any) -> Any:
    return jax.vmap(function)(block)


def apply_parts(parts: Any, v: Any) -> Any:
    forward, middle, backward = parts
    return backward(middle(forward(v)))[0]


def network_candidates(case: Case, layout: str) -> Iterator[Candidate]:
    net = Net(case, layout)
    x, v, data = net.x, net.v, net.data

    def residuals(function: Callable[..., Any]) -> Any:
        return jax.block_until_ready(jax.jit(partial(function, net))(x, data))

    def candidate(op: str, mode: str, prepare: Any, digest: Any, results: int = 1) -> Candidate:
        return Candidate(op, f"{layout} {mode}".strip(), prepare, digest, results, planned_bytes)

    def value(result: Any) -> dict[str, float]:
        return {"value": float(result)}

    def value_and(result: Any) -> dict[str, float]:
        return value(result[0]) | net.digest(result[1])

    def first(result: Any) -> dict[str, float]:
        return net.digest(result[0])

    yield candidate("value", "", lambda: Waiting(net.loss, x, data), value)
    with_grad = jax.value_and_grad(net.loss)
    yield candidate("value_and_grad", "", lambda: Waiting(with_grad, x, data), value_and)
    at_point = partial(hvp_function, net)
    yield candidate("linearize", "", lambda: Waiting(at_point, x, data), first)
    one_shot = partial(hvp_at, net)
    yield candidate("hvp", "jvp(grad)", lambda: Waiting(one_shot, x, v, data), net.digest)
    yield candidate(
        "hvp_linearized",
        "linearize(grad)",
        lambda: Waiting(apply, residuals(hvp_function)[1], v),
        net.digest,
    )
    one_shot_ggn = partial(ggnvp_at, net)
    yield candidate("ggnvp", "jvp, vjp", lambda: Waiting(one_shot_ggn, x, v, data), net.digest)
    yield candidate(
        "ggnvp",
        "linearized",
        lambda: Waiting(apply_parts, residuals(ggnvp_parts), v),
        net.digest,
    )
    yield candidate(
        "hvp_block16",
        "vmap(linearized)",
        lambda: Waiting(apply_block, residuals(hvp_function)[1], net.block),
        net.digest,
        BLOCK,
    )


def hessian_candidates(case: Case) -> Iterator[Candidate]:
    net = Net(case, "flat")

    def digest(result: Any) -> dict[str, float]:
        product = np.asarray(result) @ net.flat_v
        return {"norm": float(np.linalg.norm(result)), "dot": float(product @ net.flat_v)}

    def by_columns(x: Any, data: Any) -> Any:
        return jax.vmap(hvp_function(net, x, data)[1])(jnp.eye(x.size, dtype=x.dtype))

    def by_blocks(x: Any, data: Any) -> Any:
        product = hvp_function(net, x, data)[1]
        return jax.lax.map(product, jnp.eye(x.size, dtype=x.dtype), batch_size=64)

    modes = {
        "jax.hessian": jax.hessian(net.loss),
        "vmap(linearized)": by_columns,
        "vmap(linearized) in blocks of 64": by_blocks,
    }
    for mode, function in modes.items():
        prepare = partial(lambda f: Waiting(f, net.x, net.data), function)
        yield Candidate("hessian", mode, prepare, digest, 1, planned_bytes)


def candidates(case: Case) -> Iterator[Candidate]:
    if case.kind == "adam":
        yield from adam_candidates(case, Net(case, "tree"))
        return
    yield from network_candidates(case, "tree")
    if len(case.array("x")) <= MAX_FLAT:
        yield from network_candidates(case, "flat")
    if "hessian" in case.ops:
        yield from hessian_candidates(case)


if __name__ == "__main__":
    main("jax", candidates)
