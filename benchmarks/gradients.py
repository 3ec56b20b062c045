"""The gradient of a job by hand, for NumPy arrays and PyTorch tensors alike, batched over seeds."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nctheory as nct
from benchmarks.jobs import Job

Arrays = list[Any]
"""One array (or tensor) a factor, in the order of `Job.shapes`, each seeds x rows x columns."""


def split(job: Job, points: Any) -> Arrays:
    """Views of flat vectors (… x P) as the factors of the chain."""
    parts, begin = [], 0
    for rows, cols in job.shapes:
        parts.append(points[..., begin : begin + rows * cols].reshape(*points.shape[:-1], rows, cols))
        begin += rows * cols
    return parts


def join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Inverse of `split`."""
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)


def factors(job: Job, params: nct.problems.ChainParams) -> list[np.ndarray]:
    """Parameters of the engine as a list in the order of `Job.shapes`."""
    tail = [np.asarray(params.bias)[..., None]] if job.bias else []
    return [*map(np.asarray, params.weights), np.asarray(params.features), *tail]


def one_hot(job: Job) -> np.ndarray:
    """Targets Y, K x N."""
    return np.repeat(np.eye(job.classes), job.per_class, axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the classes."""
    exponentials = np.exp(logits - logits.max(axis=-2, keepdims=True))
    exponentials /= exponentials.sum(axis=-2, keepdims=True)
    return exponentials


def forward(job: Job, params: Arrays) -> Arrays:
    """H, W_1 H, …, and last the logits Z."""
    depth = len(job.widths) - 1
    layers = [params[depth]]
    for weight in params[:depth]:
        layers.append(weight @ layers[-1])
    if job.bias:
        layers[-1] = layers[-1] + params[-1]
    return layers


def backward(job: Job, params: Arrays, layers: Arrays, residual: Any) -> Arrays:
    """Gradient of the objective from the loss's own gradient in the logits."""
    depth, back = len(job.widths) - 1, residual * (1.0 / job.samples)
    out: Arrays = [back.sum(axis=-1, keepdims=True)] if job.bias else []
    weights: Arrays = []
    for weight, below in zip(reversed(params[:depth]), reversed(layers[:-1]), strict=True):
        weights.append(back @ below.mT + job.decay * weight)
        back = weight.mT @ back
    return [*reversed(weights), back + job.decay * params[depth], *out]


def gradient(job: Job, params: Arrays, targets: Any, normalise: Callable[[Any], Any]) -> Arrays:
    """Gradient in every factor; `normalise` is the softmax of the library that the arrays belong to."""
    layers = forward(job, params)
    predicted = normalise(layers[-1]) if job.loss == "cross_entropy" else layers[-1]
    return backward(job, params, layers, predicted - targets)


def numpy_gradient(job: Job) -> Callable[[Arrays], Arrays]:
    """`gradient` for NumPy arrays."""
    targets = one_hot(job)
    return lambda params: gradient(job, params, targets, softmax)


def value_and_gradient(job: Job, point: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Objective and gradient at one flat vector."""
    params = split(job, point)
    layers = forward(job, params)
    if job.loss == "cross_entropy":
        shifted = layers[-1] - layers[-1].max(axis=0)
        exponentials = np.exp(shifted)
        sums = exponentials.sum(axis=0)
        fit = (np.log(sums) - (targets * shifted).sum(axis=0)).mean()
        residual = exponentials / sums - targets
    else:
        residual = layers[-1] - targets
        fit = 0.5 * (residual * residual).sum() / job.samples
    decayed = point[: -job.classes] if job.bias else point
    value = float(fit + 0.5 * job.decay * (decayed @ decayed))
    return value, join(backward(job, params, layers, residual))
