"""Structured starts of chains: weights that put given features, layer by layer, as nearly as they can be put."""

from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.engine import Array
from nctheory.falsification._codes import FAMILIES, Features, one_hot
from nctheory.problems import HOMOGENEOUS, ChainParams, Problem, activation_of, template

ROUNDS = 30
"""The most least-squares solutions for a row of weights before a ReLU; a few are usual (conventional)."""

NOISE = (1e-3, 0.3)
"""The relative size of the noise on each factor, log-uniform between these (conventional)."""


class ChainShape(NamedTuple):
    """What a start of a chain is built for: shapes, activations, and what the logits should be."""

    widths: tuple[int, ...]
    """d_0, …, d_L."""
    activations: tuple[Any, ...]
    """Behind H and behind each layer but the last."""
    residual: tuple[bool, ...]
    labels: np.ndarray
    """The class of each column: columns of equal target are of one class."""
    targets: np.ndarray
    """One column a sample."""
    inputs: np.ndarray | None
    decay: np.ndarray
    """The weight decay of each factor, W_1, …, W_L and H; positive."""
    bounded: bool
    """Whether the fit is by squared error, so that the best logits are the targets themselves."""

    @property
    def classes(self) -> int:
        """The number of different columns of the targets."""
        return int(self.labels.max()) + 1


def chain_shape(problem: Problem) -> ChainShape | None:
    """The shape of a problem whose parameters are those of a chain; None for other problems."""
    like = template(problem)
    targets = getattr(problem, "targets", None)
    if not isinstance(like, ChainParams) or targets is None or np.ndim(targets) != 2:
        return None
    targets = np.asarray(targets, float)
    if any(len(w.shape) != 2 for w in like.weights):
        return None
    widths = (like.weights[0].shape[1], *(w.shape[0] for w in like.weights))
    inputs = getattr(problem, "inputs", None) if like.features is None else None
    if (like.features is None and inputs is None) or widths[-1] != targets.shape[0]:
        return None
    labels = np.unique(targets, axis=1, return_inverse=True)[1].ravel()
    factors = len(like.weights) + (like.features is not None)
    decay = np.asarray(getattr(problem, "weight_decay", np.ones(factors)), float).ravel()
    decay = np.where(decay > 0, decay, 1.0) if decay.size == factors else np.ones(factors)
    depth = len(like.weights)
    return ChainShape(
        widths,
        tuple(getattr(problem, "activations", ("identity",) * depth)),
        tuple(getattr(problem, "residual", (False,) * (depth - 1))),
        labels,
        targets,
        None if inputs is None else np.asarray(inputs, float),
        decay,
        getattr(getattr(problem, "loss", None), "name", "") == "mse",
    )


def chain_start(shape: ChainShape, family: str, rng: np.random.Generator) -> ChainParams:
    r"""A start whose hidden features are of a family up to a random layer, and one direction a class behind it.

    The features of layer l are put by the least-squares solution $W_l=T_lX_{l-1}^+$ of least norm, where $T_l$ is what the
    layer must have before its activation (`before_activation`); the last layer puts the targets, or a multiple of them for a
    loss whose best logits are infinite. Free features are the balanced half of the first layer's. At last the factors are
    rescaled to equal $\sqrt{\lambda_l}|W_l|_F$.
    """
    depth = len(shape.widths) - 1
    code = _expanded(FAMILIES[family](max(shape.widths[:-1]), shape.classes, rng), shape)
    last = int(rng.integers(1, depth + 1)) if depth > 1 else 1
    random_above = bool(rng.integers(2))
    weights: list[np.ndarray] = []
    lowest = _lowest(shape, code)
    below = apply(shape.activations[0], lowest)
    for layer in range(1, depth):
        width = shape.widths[layer]
        if layer <= last:
            wanted = fitted(code, (width, code.shape[1]))
        elif random_above:  # random features of what the family has put
            wanted = np.maximum(rng.normal(size=(width, len(below))) @ below, 0.0)
        else:
            wanted = fitted(_expanded(one_hot(width, shape.classes, rng), shape), (width, code.shape[1]))
        if shape.residual[layer - 1]:
            wanted = wanted - below
        before = before_activation(wanted, below, shape.activations[layer])
        weights.append(before @ np.linalg.pinv(below, rcond=1e-9))
        reached = apply(shape.activations[layer], weights[-1] @ below)
        below = reached + below if shape.residual[layer - 1] else reached
    logits = shape.targets if shape.bounded else shape.targets - np.mean(shape.targets, axis=0)
    size = rng.uniform(0.7, 1.0) if shape.bounded else np.exp(rng.uniform(np.log(2.0), np.log(12.0)))
    weights.append(size * logits @ np.linalg.pinv(below, rcond=1e-6))
    factors = weights if shape.inputs is not None else [*weights, lowest]
    factors = balanced(factors, shape) if not any(shape.residual) else factors
    # A symmetric start would keep its symmetry on the way, and end at a saddle.
    noise = np.exp(rng.uniform(np.log(NOISE[0]), np.log(NOISE[1])))
    factors = [x + noise * np.sqrt(np.mean(x**2)) * rng.normal(size=x.shape) for x in factors]
    features = None if shape.inputs is not None else factors[depth]
    return ChainParams(tuple(factors[:depth]), features, None)


def before_activation(wanted: np.ndarray, below: np.ndarray, kind: Any) -> np.ndarray:
    r"""What a layer on the features `below` must have before its activation to put out `wanted`, as nearly as it can.

    Without an activation that is `wanted`. Before a ReLU an entry that should vanish may be anything negative: each row w
    minimises $\sum_{j:x'_j>0}(w^\top x_j-x'_j)^2+\sum_{j:x'_j=0}\max(w^\top x_j,0)^2$, by least squares over the entries
    that cost something, again and again until these stay the same.

    >>> edges = np.array([[1, 1, 0.0], [1, 0, 1], [0, 1, 1]])
    >>> bool(np.allclose(np.maximum(before_activation(np.eye(3), edges, "relu"), 0.0), np.eye(3)))
    True
    """
    if kind != "relu":
        return wanted
    rows = []
    for row in wanted:
        positive = row > 0
        costly, found = positive, np.zeros_like(row)
        for _ in range(ROUNDS):
            weights = np.linalg.lstsq(below[:, costly].T, np.where(positive, row, 0.0)[costly], rcond=1e-9)[0]
            found = weights @ below
            now = positive | (found > 1e-12)
            if np.array_equal(now, costly):
                break
            costly = now
        rows.append(found)
    return np.stack(rows)


def balanced(factors: list[np.ndarray], shape: ChainShape) -> list[np.ndarray]:
    """The factors rescaled to equal weighted norms, where the activations let positive numbers through."""
    ours = all(isinstance(kind, str) and kind in HOMOGENEOUS for kind in shape.activations)
    if not ours or shape.inputs is not None:
        return factors
    norms = np.array([np.linalg.norm(x) for x in factors]) * np.sqrt(shape.decay[: len(factors)])
    if np.any(norms == 0):
        return factors
    scale = np.exp(np.mean(np.log(norms))) / norms
    return [a * x for a, x in zip(scale, factors, strict=True)]


def fitted(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A matrix cut, or filled up with zeros, to a shape.

    >>> fitted(np.ones((2, 3)), (3, 2)).tolist()
    [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
    """
    found = np.zeros(shape)
    part = tuple(slice(0, min(a, b)) for a, b in zip(matrix.shape, shape, strict=True))
    found[part] = matrix[part]
    return found


def apply(kind: Any, features: np.ndarray) -> np.ndarray:
    """An activation on features."""
    if kind == "identity":
        return features
    if kind == "relu":
        return np.maximum(features, 0.0)
    with jax.enable_x64(True):
        return np.asarray(activation_of(kind)(features))


def _expanded(code: Features, shape: ChainShape) -> np.ndarray:
    """The features of the classes as those of the columns."""
    return code[:, shape.labels]


def _lowest(shape: ChainShape, code: np.ndarray) -> np.ndarray:
    r"""The inputs, or free features: the balanced half $S^{1/2}V^\top$ of what the first layer is to put out."""
    if shape.inputs is not None:
        return shape.inputs
    width, columns = shape.widths[0], shape.targets.shape[1]
    if shape.activations[0] != "identity" or len(shape.widths) == 2:
        return fitted(code, (width, columns))
    values, right = np.linalg.svd(code, full_matrices=False)[1:]
    return fitted(np.sqrt(values)[:, None] * right, (width, columns))


def as_params(like: Any, factors: ChainParams) -> Any:
    """A start with all the leaves of the problem's own: a bias of zeros where it has one."""
    bias: Array | None = None if like.bias is None else np.zeros(like.bias.shape)  # pyright: ignore
    return ChainParams(factors.weights, factors.features, bias)


__all__ = ["ChainShape", "as_params", "before_activation", "chain_shape", "chain_start", "fitted"]
