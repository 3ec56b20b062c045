"""What class means and classifiers are held against: a simplex ETF, an orthogonal frame, or the minimiser of a theorem."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nctheory.closed_form import global_minimum
from nctheory.engine import float64
from nctheory.measures._inputs import as_numpy
from nctheory.measures._units import normalised
from nctheory.problems import Loss, class_mean_chain

FRAMES = ("simplex_etf", "orthogonal_frame", "minimiser")


class Target(NamedTuple):
    """Gram matrices, K x K, up to scale."""

    means: np.ndarray
    """The Gram matrix of the class means."""
    weights: np.ndarray
    """The Gram matrix of the rows of W."""
    centred: bool
    """Whether the means are centred before they are compared, unless asked otherwise."""


def target_of(
    target: Any,
    counts: np.ndarray,
    width: int,
    loss: str | Loss | None,
    weight_decay: Sequence[float] | None,
    bias_decay: float | None,
) -> Target:
    """The target by its name, or from a Gram matrix of the class means; ValueError names what is wrong."""
    classes = len(counts)
    if not isinstance(target, str):
        gram = as_numpy("target", target).astype(np.float64)
        if gram.shape != (classes, classes):
            raise ValueError(f"target: expected a Gram matrix of K x K = {classes} x {classes}, got shape {gram.shape}")
        # Symmetry is asked for as far as single precision can hold it.
        gram = normalised(gram)
        size = np.linalg.norm(gram)
        if not np.isfinite(size) or np.linalg.norm(gram - gram.T) > 1e-6 * size:
            raise ValueError("target: expected a symmetric Gram matrix of finite numbers")
        return Target(gram, gram, False)
    if target not in FRAMES:
        raise ValueError(f"target: expected a Gram matrix or one of {', '.join(FRAMES)}, got {target!r}")
    if target == "minimiser":
        if loss is None or weight_decay is None:
            raise ValueError("target: 'minimiser' needs loss=... and weight_decay=(lambda_W, lambda_H)")
        if np.shape(weight_decay) != (2,):
            raise ValueError(f"weight_decay: expected (lambda_W, lambda_H), got {weight_decay!r}")
        return _minimiser(counts, width, loss, weight_decay, bias_decay)
    if loss is not None or weight_decay is not None or bias_decay is not None:
        raise ValueError(f"target: loss, weight_decay and bias_decay are those of 'minimiser', got {target!r}")
    if target == "orthogonal_frame":
        return Target(np.eye(classes), np.eye(classes), False)
    # Up to scale the Gram matrix of a simplex ETF is I - 11^T/K.
    simplex = np.eye(classes) - 1.0 / classes
    return Target(simplex, simplex, True)


@float64
def _minimiser(
    counts: np.ndarray,
    width: int,
    loss: str | Loss,
    weight_decay: Sequence[float],
    bias_decay: float | None,
) -> Target:
    """The target that the minimiser of the unconstrained-feature model with these class sizes and decays is."""
    sizes = tuple(counts.tolist())
    # One column a class: of a million samples the columns would not fit.
    problem = class_mean_chain(
        sizes=sizes, widths=(width, len(sizes)), loss=loss, weight_decay=tuple(weight_decay), bias=bias_decay
    )
    # Theorems read the class counts, which `class_mean_chain` leaves out.
    found = global_minimum(dataclasses.replace(problem, counts=sizes))
    return Target(np.asarray(found.gram_features), np.asarray(found.gram_weights), False)
