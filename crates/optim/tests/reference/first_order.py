"""Writes first_order.json: trajectories of PyTorch's and optax's own optimisers.

    pip install torch numpy          python first_order.py torch
    pip install optax                python first_order.py optax

Each call replaces the entries of its library and keeps the others. Gradients are
given, not computed, so that a trajectory depends on the update rule alone; the
learning rate changes from step to step. Floats are stored as the bit patterns of
the f64 with their value, because JSON readers may round.

PyTorch runs its portable kernels (no fused multiply-add), one tensor at a time, and
optax runs operation by operation (no jit), so that each of their operations rounds
once, as in Rust.
"""

import json
import os
import pathlib
import random
import struct
import sys

os.environ["ATEN_CPU_CAPABILITY"] = "default"
os.environ["JAX_ENABLE_X64"] = "1"

FILE = pathlib.Path(__file__).with_name("first_order.json")
DIM, STEPS, KEPT = 7, 25, [1, 2, 5, 25]


def bits(x):
    return struct.unpack("<Q", struct.pack("<d", float(x)))[0]


def inputs():
    """Start, gradients and rates: representable in f32, with zeros and wide scales."""
    draw = random.Random(20)
    as_f32 = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
    start = [as_f32(draw.gauss(0, 1)) for _ in range(DIM)]
    scales = [1.0, 1e-3, 30.0, 0.0, 1e-9, 1e4, 1.0]
    grads = [[as_f32(s * draw.gauss(0.3, 1)) for s in scales] for _ in range(STEPS)]
    rates = [0.02 / (1 + 0.1 * k) for k in range(STEPS)]
    return start, grads, rates


# name -> (torch class and arguments, optax constructor)
CASES = {
    "sgd": ("SGD", {}),
    "sgd_momentum": ("SGD", {"momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "sgd_nesterov_decay": ("SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("Adam", {}),
    "adam_betas": ("Adam", {"betas": (0.4, 0.95), "eps": 1e-3}),
    "adam_coupled": ("Adam", {"weight_decay": 0.1}),
    "adamw": ("AdamW", {"weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_momentum": ("RMSprop", {"alpha": 0.9, "momentum": 0.9}),
    "rmsprop_centered": ("RMSprop", {"alpha": 0.9, "centered": True, "eps": 1e-4}),
    "rmsprop_all": (
        "RMSprop",
        {"alpha": 0.9, "centered": True, "momentum": 0.5, "weight_decay": 0.01, "eps": 1e-4},
    ),
}


def run_torch(dtype, kind, args):
    import torch

    start, grads, rates = inputs()
    dtype = getattr(torch, dtype)
    x = torch.nn.Parameter(torch.tensor(start, dtype=dtype))
    rule = getattr(torch.optim, kind)([x], lr=1.0, foreach=False, **args)
    for grad, rate in zip(grads, rates):
        rule.param_groups[0]["lr"] = rate
        x.grad = torch.tensor(grad, dtype=dtype)
        rule.step()
        yield x.detach().tolist()


def optax_rule(kind, args, rate):
    import optax

    args = dict(args)
    decay = args.pop("weight_decay", 0.0)
    if kind == "AdamW":
        return optax.adamw(rate, weight_decay=decay)
    coupled = [optax.add_decayed_weights(decay)] if decay else []
    if kind == "SGD":
        rule = optax.sgd(rate, args.get("momentum"), args.get("nesterov", False))
    elif kind == "Adam":
        b1, b2 = args.get("betas", (0.9, 0.999))
        rule = optax.adam(rate, b1, b2, eps=args.get("eps", 1e-8))
    else:
        rule = optax.rmsprop(
            rate,
            decay=args.get("alpha", 0.9),
            eps=args.get("eps", 1e-8),
            centered=args.get("centered", False),
            momentum=args.get("momentum"),
        )
    return optax.chain(*coupled, rule)


def run_optax(dtype, kind, args):
    import jax.numpy as jnp
    import optax

    start, grads, rates = inputs()
    x = jnp.array(start, dtype)
    state = optax_rule(kind, args, rates[0]).init(x)
    for grad, rate in zip(grads, rates):
        updates, state = optax_rule(kind, args, rate).update(jnp.array(grad, dtype), state, x)
        x = optax.apply_updates(x, updates)
        yield [float(v) for v in x]


def main(library):
    module = __import__(library)
    run = {"torch": run_torch, "optax": run_optax}[library]
    old = json.loads(FILE.read_text()) if FILE.exists() else {"versions": {}, "runs": []}
    start, grads, rates = inputs()
    runs = [r for r in old["runs"] if r["library"] != library]
    for name, (kind, args) in CASES.items():
        for dtype in ["float32", "float64"]:
            params = list(run(dtype, kind, args))
            assert len(params) == STEPS
            kept = [[bits(v) for v in params[k - 1]] for k in KEPT]
            runs.append({"library": library, "case": name, "dtype": dtype, "params": kept})
    runs.sort(key=lambda r: (r["library"], r["case"], r["dtype"]))
    lines = ",\n  ".join(json.dumps(r) for r in runs)
    head = {
        "versions": {**old["versions"], library: module.__version__},
        "kept_steps": KEPT,
        "start": [bits(v) for v in start],
        "gradients": [[bits(v) for v in g] for g in grads],
        "rates": [bits(r) for r in rates],
    }
    text = json.dumps(head)[:-1] + ',\n "runs": [\n  ' + lines + "\n]}\n"
    json.loads(text)
    FILE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
