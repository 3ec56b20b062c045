"""Few-shot samples, and linear probes of the features of layers in closed form."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import is_finite, shown, untraced, whole_number
from nctheory.measures import as_numpy, read_labels
from nctheory.networks._network import Network

STRENGTHS = 10.0 ** np.arange(1.0, -6.5, -0.5)
"""The strengths among which leaving one out decides, from the strongest: of several that are as good the first is taken. At
the weakest, 1e-6, what is left of a sample after its own influence is known to ten digits."""
ALONE = 1e-2
"""The strength where classes have one sample each, and none can be left out (conventional)."""


@shown()
class Probe(NamedTuple):
    """A ridge regression on one-hot labels, read as a classifier, with a leading axis `layers` for several layers."""

    error: Any
    """The share of the test samples that it gets wrong."""
    strength: Any
    r"""$\rho$, the ridge relative to the total variation of the features."""
    left_out: Any
    """The mean squared error of samples left out one by one; NaN where the strength was given, or classes have one sample."""
    layers: tuple[str, ...] | None = None
    """Names of the layers, where there are several."""


@untraced()
def few_shots(labels: Any, shots: int, episodes: int = 1, key: int = 0) -> np.ndarray:
    """Row numbers of `shots` samples of each class without replacement, episodes x (K shots), class after class.

    Episode e depends on `key` and e alone, whatever the number of episodes, and the samples of fewer shots are among those of
    more: methods, layers and numbers of shots are compared on the same samples. Raises ValueError, naming the argument, for a
    class that has fewer samples.

    >>> rows = few_shots([0, 1, 1, 0, 0], shots=2, episodes=3)
    >>> rows.shape, bool((few_shots([0, 1, 1, 0, 0], shots=1, episodes=3) == rows[:, [0, 2]]).all())
    ((3, 4), True)
    """
    named, number, key = read_labels(labels), whole_number("shots", shots), whole_number("key", key, least=0)
    if named.size == 0:
        raise ValueError("labels: expected at least one sample, got none")
    counts = np.bincount(named)
    if counts.min() < number:
        few = int(np.argmin(counts))
        raise ValueError(f"shots: expected at most the {counts[few]} samples of class {few}, got {number}")
    found = []
    for episode in range(whole_number("episodes", episodes)):
        rng = np.random.default_rng([key, episode])
        orders = [rng.permutation(np.flatnonzero(named == label)) for label in range(counts.size)]
        found.append(np.concatenate([order[:number] for order in orders]))
    return np.stack(found)


@untraced()
def linear_probe(
    features: Any, labels: Any, test_features: Any, test_labels: Any, *, strength: float | None = None
) -> Probe:
    r"""How well a linear classifier reads classes off features, N x d with one row a sample, or a list or dict of layers.

    $$\min_{W,b}\ |XW^\top+1b^\top-Y|_F^2+\rho\,|X-1\bar x^\top|_F^2\,|W|_F^2$$

    with one-hot Y; a sample's class is the largest entry of $Wh+b$. The bias is free, and $\rho$ is relative, so that neither
    an offset nor a scale of the features matters and layers of any width are read alike. Unless it is given, $\rho$ has the
    least squared error of samples left out one by one, which are exact without fitting again: $r_i/(1-h_i)$ with the
    residual r and the influence h of the sample on its own prediction. With one sample a class none can be left out, and
    $\rho$ is 1e-2. Least squares stands here, and no logistic regression, because it has a closed form: few samples of
    many features are separable, where logistic regression has no minimum and ends where its iterations end.

    Raises ValueError, naming the argument, for shapes that do not fit, numbers that are not finite, labels out of range, a
    class without samples and a strength that is not positive.

    >>> x = np.array([[0.0, 1.0], [0.1, 1.2], [1.0, 0.0], [1.1, 0.1]])
    >>> found = linear_probe([x, x[:, :1]], [0, 0, 1, 1], [x, x[:, :1]], [0, 0, 1, 1])
    >>> found.error.tolist(), found.layers
    ([0.0, 0.0], ('0', '1'))
    """
    if strength is not None and not (is_finite(strength) and strength > 0):
        raise ValueError(f"strength: expected a positive number, got {strength!r}")
    if isinstance(features, Mapping) or _is_layers(features):
        names = tuple(map(str, features if isinstance(features, Mapping) else range(len(features))))
        first = list(features.values()) if isinstance(features, Mapping) else list(features)
        other = list(test_features.values()) if isinstance(test_features, Mapping) else list(test_features)
        if len(other) != len(first):
            raise ValueError(f"test_features: expected {len(first)} layers, got {len(other)}")
        found = [_probe(x, labels, t, test_labels, strength) for x, t in zip(first, other, strict=True)]
        return Probe(*(np.array(part) for part in list(zip(*found, strict=True))[:3]), layers=names)
    return _probe(features, labels, test_features, test_labels, strength)


def _is_layers(features: Any) -> bool:
    return isinstance(features, list | tuple) and len(features) > 0 and np.ndim(features[0]) == 2


def _probe(features: Any, labels: Any, test_features: Any, test_labels: Any, strength: float | None) -> Probe:
    x, test = _rows("features", features), _rows("test_features", test_features)
    if test.shape[1] != x.shape[1]:
        raise ValueError(f"test_features: expected {x.shape[1]} columns, got {test.shape[1]}")
    named = read_labels(labels, len(x))
    counts = np.bincount(named)
    if counts.size < 2 or counts.min() == 0:
        raise ValueError(f"labels: expected samples of every class from 0 on, at least two, got {counts.tolist()}")
    asked = read_labels(test_labels, len(test), counts.size, name="test_labels")
    weights, bias, chosen, left_out = _ridge(x, np.eye(counts.size)[named], int(counts.min()), strength)
    wrong = np.argmax(test @ weights + bias, axis=1) != asked
    return Probe(float(np.mean(wrong)), chosen, left_out)


def _rows(name: str, values: Any) -> np.ndarray:
    rows = as_numpy(name, values)
    if rows.ndim != 2 or 0 in rows.shape or not np.all(np.isfinite(rows)):
        raise ValueError(f"{name}: expected finite numbers, N x d, one row a sample, got shape {rows.shape}")
    return rows.astype(np.float64)


def _ridge(
    x: np.ndarray, y: np.ndarray, least: int, strength: float | None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Weights d x K, bias, the strength, and the squared error of samples left out."""
    centre, middle = x.mean(axis=0), y.mean(axis=0)
    # A free bias is the fit of the means, so that the weights are those of centred features and labels: X = U S V^T.
    left, singular, right = np.linalg.svd(x - centre, full_matrices=False)
    squares, total = singular**2, float(np.sum(singular**2))
    along = left.T @ (y - middle)
    kept = STRENGTHS if strength is None and least > 1 else np.array([ALONE if strength is None else strength])
    if total == 0:  # features that are all alike say nothing
        return np.zeros((x.shape[1], y.shape[1])), middle, float(kept[0]), np.nan
    errors = np.full(kept.size, np.nan)
    if kept.size > 1:
        for i, rho in enumerate(kept):
            # The predictions are H y with H = 11^T/N + U diag(s^2/(s^2 + rho total)) U^T, and h is its diagonal.
            shrunk = squares / (squares + rho * total)
            residual = y - middle - left @ (shrunk[:, None] * along)
            influence = 1.0 / len(x) + left**2 @ shrunk
            errors[i] = np.mean((residual / (1.0 - influence)[:, None]) ** 2)
    best = int(np.argmin(errors)) if kept.size > 1 else 0
    weights = right.T @ ((singular / (squares + kept[best] * total))[:, None] * along)
    return weights, middle - centre @ weights, float(kept[best]), float(errors[best])


def layer_outputs(network: Network, point: Any, inputs: np.ndarray) -> list[np.ndarray]:
    """The inputs and the features of every layer below the head, each N x d with one row a sample."""
    return [np.asarray(layer).T for layer in network.layers_of(point, network.read_inputs(inputs))[:-1]]
