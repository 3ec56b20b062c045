"""The model that is measured, and whether ends are right: recomputed by NumPy alone, and held against the closed form."""

from typing import Any, NamedTuple

import numpy as np

import nctheory as nct

SIZES = {"small": (4, 8, 5), "middle": (10, 16, 10), "large": (10, 64, 50), "wide": (100, 128, 5)}
"""(K, d, n) by name."""
TOLERANCE, AGREEMENT = 1e-10, 1e-12


class Checked(NamedTuple):
    """What the worst ends of a run are, recomputed."""

    ends: int
    grad_norm: float
    """The largest one."""
    distance: float
    """The largest |f/f* - 1| of the certified ends among them; NaN where there is none."""
    converged: float
    certified: float
    """The shares of all seeds."""
    right: bool


def model(size: str, decay: float) -> Any:
    """Unconstrained features with cross-entropy and a free bias."""
    classes, dim, per_class = SIZES[size]
    return nct.unconstrained_features(
        counts=(per_class,) * classes, dim=dim, loss="cross_entropy", weight_decay=(decay, decay), bias=0.0
    )


def block_of(size: str) -> int:
    """Seeds that the device holds at a time, so that their points take half a GiB at most."""
    classes, dim, per_class = SIZES[size]
    numbers = classes * (dim + 1) + dim * classes * per_class
    return 1 << (2**26 // numbers).bit_length() - 1


def recomputed(size: str, decay: float, params: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradient norms at points, by NumPy alone."""
    classes, _, per_class = SIZES[size]
    (w,), h, b = params.weights, params.features, params.bias
    y = np.repeat(np.eye(classes), per_class, axis=1)
    z = w @ h + b[:, :, None]
    z = z - z.max(axis=1, keepdims=True)
    total = np.exp(z).sum(axis=1, keepdims=True)
    value = np.mean(np.log(total) - np.sum(y * z, axis=1, keepdims=True), axis=(1, 2))
    value = value + 0.5 * decay * (np.sum(w**2, axis=(1, 2)) + np.sum(h**2, axis=(1, 2)))
    slope = (np.exp(z) / total - y) / y.shape[1]
    parts = slope @ h.transpose(0, 2, 1) + decay * w, w.transpose(0, 2, 1) @ slope + decay * h, slope.sum(axis=2)
    return value, np.sqrt(np.sum([np.sum(part.reshape(len(w), -1) ** 2, axis=1) for part in parts], axis=0))


def check(size: str, decay: float, outcome: Any) -> Checked:
    """The worst ends of a survey; they are right if their gradients are within the tolerance and their values at the minimum.

    Without a flow a seed may stop at the saddle at zero, whose value is log K: such an end is not certified, and its
    distance does not count.
    """
    worst = outcome.worst
    value, norm = recomputed(size, decay, worst.params)
    best = nct.global_minimum(model(size, decay)).value
    there = outcome.certified[np.searchsorted(outcome.seeds, worst.seeds)]
    away = np.abs(value[there] / best - 1.0)
    # The engine's tolerance is met to the rounding of the gradient that it met it with.
    right = norm.max() <= TOLERANCE * (1.0 + 1e-3) and (away.size == 0 or away.max() <= AGREEMENT)
    return Checked(
        len(value),
        float(norm.max()),
        float(away.max()) if away.size else float("nan"),
        float(np.mean(outcome.converged)),
        float(np.mean(outcome.certified)),
        bool(right and outcome.converged.all()),
    )
