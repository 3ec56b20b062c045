"""Networks on whitened inputs, networks of tanh with their gradients sample by sample, and parts of theorems about them."""

import dataclasses
import importlib
from typing import Any

import jax
import numpy as np

import nctheory as nct
from nctheory.networks import feed_forward

LAMBDA = 0.05
"""The decay of `network`."""


def white_network(strengths, layers=2):
    """Square layers on the inputs sqrt(N) I, the correlation diagonal."""
    width = len(strengths)
    inputs = np.sqrt(width) * np.eye(width)
    return nct.deep_linear(
        widths=(width,) * (layers + 1),
        inputs=inputs,
        targets=np.diag(strengths) @ inputs,
        loss="mse",
        weight_decay=(0.0,) * layers,
    )


def laws(name: str) -> Any:
    """The theorem's module, imported within a test."""
    return importlib.import_module(f"proofs_numeric.networks.{name}")


def network(rng, widths=(3, 5, 4, 3), loss: Any = "cross_entropy", samples=10, **options):
    labels = np.arange(samples) * widths[-1] // samples
    return feed_forward(
        **{"activation": "tanh", "bias": True, "weight_decay": LAMBDA, **options},
        widths=widths, loss=loss, inputs=rng.normal(size=(widths[0], samples)), labels=labels,
    )  # fmt: skip


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def deltas(net, weights, biases, slope):
    """The gradient before each activation and what comes into each layer, sample by sample, for layers of tanh."""
    layers: list[list[Any]] = [[] for _ in weights]
    samples = net.inputs.shape[1]
    for x, y in zip(np.asarray(net.inputs).T, np.asarray(net.targets).T, strict=True):
        seen = [x]
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            reached = w @ seen[-1] + b
            seen.append(reached if i == len(weights) - 1 else np.tanh(reached))
        back = slope(seen[-1], y) / samples
        for i in reversed(range(len(weights))):
            layers[i].append((back, seen[i]))
            back = (weights[i].T @ back) * (1 - seen[i] ** 2)
    return [tuple(np.array(part).T for part in zip(*layer, strict=True)) for layer in layers]


def arrays(point):
    return [np.asarray(w) for w in point.weights], [np.asarray(b) for b in point.biases]


def entropy(z, y):
    return softmax(z) - y


def part_of(name: str, at: int, control: str, problem: Any = None) -> nct.Theorem:
    """A theorem with one control, the claims that it names, and one instance, which may be another problem."""
    theorem = nct.theorems.find_theorem(name)
    one = theorem.instances(jax.random.key(17))[at]
    if problem is not None:
        one = dataclasses.replace(one, problem=problem(one.problem))
    kept = next(known for known in theorem.controls if known.name == control)
    claims = tuple(claim for claim in theorem.claims if claim.name in kept.claims)
    return dataclasses.replace(theorem, claims=claims, controls=(kept,), instances=lambda key: [one])
