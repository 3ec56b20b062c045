"""The balance of neighbouring layers along training, against what the gradient flow makes of it."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nctheory.engine import float64, is_finite, shown, untraced
from nctheory.networks._feed_forward import FeedForward
from nctheory.networks._train import TrainedNetworks
from nctheory.problems import HOMOGENEOUS


@shown()
class LayerBalances(NamedTuple):
    r"""Imbalance of neighbouring layers along training: arrays seeds x checkpoints x pairs of layers.

    With $A=W_{l+1}^\top W_{l+1}$ and $B=W_lW_l^\top+b_lb_l^\top$ the imbalance is $D=A-B$ where no activation lies between
    the two layers, and its diagonal, neuron by neuron, where one does. A seed that is not finite is NaN.
    """

    steps: np.ndarray
    """The numbers of steps of the checkpoints, and of the end."""
    times: np.ndarray
    """The time of the flow at each of them: steps x rate."""
    pairs: tuple[str, ...]
    """"layers 1 and 2", …."""
    whole: tuple[bool, ...]
    """Of each pair, whether D is the whole matrix, and not its diagonal."""
    imbalance: np.ndarray
    """|D|_F."""
    predicted: np.ndarray
    r"""$e^{-2\lambda(t-t_0)}|D(t_0)|_F$, with $t_0$ the first checkpoint; NaN where the two layers have unequal decays."""
    deviation: np.ndarray
    r"""$|D(t)-e^{-2\lambda(t-t_0)}D(t_0)|_F/(|A|_F+|B|_F)$, which is zero where every entry is as predicted."""


@untraced()
@float64
def layer_balances(trained: TrainedNetworks, rate: float) -> LayerBalances:
    r"""How balanced neighbouring layers are at every checkpoint and at the end, and what the flow predicts from the first.

    Along $\dot\theta=-\nabla f$ the fit does not touch the imbalance D of two layers of one decay $\lambda$ across a ReLU or
    its kin, so that $D(t)=e^{-2\lambda t}D(0)$ (theorem `network-balance`). `rate` is the time of the flow that a step takes:
    the rate of plain gradient descent, or `momentum_time` of "sgd", where that is constant. Descent departs
    from the flow by the order of the rate; for an adaptive rule there is no such law, and the prediction fails.

    Raises ValueError, naming the argument, for a rate that is not positive, a training without checkpoints, networks other
    than feed-forward ones of two layers at least with ReLUs, leaky ReLUs, absolute values or linear layers, and where no two
    neighbours have one decay.

    >>> import optax
    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> network = nct.networks.network_on(mixture, (5, 5), weight_decay=0.05, linear=2)
    >>> stops = {"steps": 400, "checkpoints": (0, 200)}
    >>> descent = nct.networks.train(network, seeds=2, optimiser=optax.sgd(0.02), **stops)
    >>> found = layer_balances(descent, rate=0.02)
    >>> found.pairs, found.whole, found.imbalance.shape
    (('layers 1 and 2', 'layers 2 and 3'), (False, True), (2, 3, 2))
    >>> bool((found.deviation < 1e-2).all()), bool((found.imbalance[:, 2] < 0.5 * found.imbalance[:, 0]).all())
    (True, True)
    >>> bool((layer_balances(nct.networks.train(network, seeds=2, **stops), rate=1e-3).deviation[:, 2] > 0.1).all())
    True
    """
    network = _checked(trained, rate)
    points = dict(trained.passed or {}) | {trained.steps: trained.params}
    steps = np.array(sorted(points))
    decays = np.asarray(network.weight_decay, float)
    same = decays[1:] == decays[:-1]
    whole = tuple(i in network.linear_spaces for i in range(1, network.depth))
    times = float(rate) * steps
    size = (len(trained.seeds), len(steps), len(whole))
    imbalance, predicted, deviation = (np.full(size, np.nan) for _ in range(3))
    with np.errstate(over="ignore", invalid="ignore"):  # of a seed on its way to infinity
        found = [_differences(points[int(step)], whole) for step in steps]
        for j, now in enumerate(found):
            # D(t) = e^{-2 lambda (t - t_0)} D(t_0)
            left = np.where(same, np.exp(-2.0 * decays[:-1] * (times[j] - times[0])), np.nan)
            for k, ((gap, terms), (first, _)) in enumerate(zip(now, found[0], strict=True)):
                imbalance[:, j, k] = _norms(gap)
                predicted[:, j, k] = left[k] * _norms(first)
                deviation[:, j, k] = _norms(gap - left[k] * first) / np.where(terms > 0, terms, 1.0)
    finite = np.isfinite(imbalance)
    kept = (np.where(finite, part, np.nan) for part in (imbalance, predicted, deviation))
    names = tuple(f"layers {i} and {i + 1}" for i in range(1, network.depth))
    return LayerBalances(steps, times, names, whole, *kept)


def _differences(point: Any, whole: tuple[bool, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """D of every pair, seeds first, and |A| + |B|, of the diagonals where the matrices do not count."""
    found = []
    biases = [None] * len(point.weights) if point.biases is None else point.biases
    for (low, up), bias, matrix in zip(pairwise(map(np.asarray, point.weights)), biases[:-1], whole, strict=True):
        above, below = np.swapaxes(up, 1, 2) @ up, low @ np.swapaxes(low, 1, 2)
        if bias is not None:
            below = below + np.einsum("si,sj->sij", bias, bias)
        if not matrix:
            above, below = (np.diagonal(part, axis1=1, axis2=2) for part in (above, below))
        found.append((above - below, _norms(above) + _norms(below)))
    return found


def _norms(parts: np.ndarray) -> np.ndarray:
    """The Frobenius norm of each seed's."""
    return np.sqrt(np.sum(parts.reshape(len(parts), -1) ** 2, axis=1))


def _checked(trained: TrainedNetworks, rate: float) -> FeedForward:
    """The network, for which there is a law."""
    network = trained.network
    if not (is_finite(rate) and rate > 0):
        raise ValueError(f"rate: expected a positive number, got {rate!r}")
    if not trained.passed:
        raise ValueError("trained: expected checkpoints, got a training without")
    if not isinstance(network, FeedForward) or network.depth < 2:
        raise ValueError(f"trained: expected feed-forward networks of two layers at least, got {network.described}")
    others = sorted(set(network.activations) - HOMOGENEOUS)
    if others:
        raise ValueError(f"trained: expected layers of {', '.join(sorted(HOMOGENEOUS))}, got {', '.join(others)}")
    decays = np.asarray(network.weight_decay)
    if not np.any(decays[1:] == decays[:-1]):
        raise ValueError(f"trained: expected two neighbouring layers of one decay, got decays {decays.tolist()}")
    return network
