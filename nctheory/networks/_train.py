"""Networks trained from many seeds, and what their layers have learned."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, Scalar, fast_compile, float64, in_few_lengths, map_in_blocks, shown, untraced
from nctheory.flow import as_seeds, gradient_descent
from nctheory.flow import starts as draw_starts
from nctheory.measures import NCMetrics, as_numpy, nc_metrics, read_labels
from nctheory.networks._data import Data
from nctheory.networks._feed_forward import FeedForward, NetworkParams, feed_forward
from nctheory.problems import Loss, Problem

OPTIMISERS = {"adam": 1e-2, "sgd": 0.05}
"""Named optimisers with their usual rate (measured on 200 digits with five layers of 64, after 1,000 steps: the objective is
0.032 with Adam at 1e-2 and 0.045 at 3e-3, and 0.160 with momentum at 0.05)."""
COOLING = 0.2
"""The last share of the steps, over which the rate falls to zero (conventional)."""
MOMENTUM = 0.9


@shown()
class TrainedNetworks(NamedTuple):
    """Networks of one form after training, with a leading axis `seeds` wherever they differ.

    None of them is said to have converged: `grad_norm` tells how far from stationary each one is.
    """

    network: FeedForward
    seeds: np.ndarray
    params: NetworkParams
    """The parameters at the end of training."""
    value: np.ndarray
    """The objective: the mean loss and the decays."""
    fit: np.ndarray
    """The mean loss alone."""
    grad_norm: np.ndarray
    """The norm of the objective's gradient, which is zero at a stationary point."""
    error: np.ndarray
    """The share of training samples that the network gets wrong."""
    steps: int

    @property
    def finite(self) -> np.ndarray:
        """The mask of the seeds whose training stayed finite; the others tell nothing."""
        return np.isfinite(self.value)


def network_on(
    data: Data,
    hidden: Sequence[int],
    *,
    loss: str | Loss = "mse",
    weight_decay: Scalar | Sequence[Scalar] = 1e-3,
    activation: str = "relu",
    linear: int = 1,
    bias: bool = False,
) -> FeedForward:
    """`feed_forward` on the training set of `data`, whose inputs are flattened, with layers of these `hidden` widths.

    Raises ValueError, naming the argument, as `feed_forward` does, and for data with tags.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(5, 5), dim=3, spread=0.1)
    >>> network_on(mixture, (4, 4), linear=2).widths
    (3, 4, 4, 2)
    """
    if data.labels.ndim != 1:
        raise ValueError("data: expected one label a sample, got tags")
    flat = data.inputs.reshape(len(data.inputs), -1).T
    widths = (flat.shape[0], *hidden, data.classes)
    return feed_forward(
        widths=widths, inputs=flat, labels=data.labels, loss=loss, weight_decay=weight_decay, activation=activation,
        linear=linear, bias=bias,
    )  # fmt: skip


@untraced()
@float64
def train(
    network: FeedForward,
    seeds: int | Sequence[int] | np.ndarray = 8,
    key: int | PRNGKeyArray = 0,
    *,
    steps: int = 2000,
    optimiser: str | Any = "adam",
    rate: float | None = None,
    scale: float = 1.0,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> TrainedNetworks:
    """Train a network from many seeds, on all samples in every step, with the decay in the objective (coupled).

    `optimiser` is "adam" or "sgd" (with momentum 0.9), whose `rate` falls to zero over the last fifth of the steps, or an
    optax gradient transformation with a rate of its own, which sees all parameters as one vector. Seed i starts and ends at
    the same point whatever the other seeds are. A rate that falls to zero stops any network: whether it is at rest is told by
    `grad_norm` alone.

    Raises ValueError, naming the argument, for another optimiser, and for steps or a rate that are not positive.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = train(network_on(mixture, (5, 5)), seeds=2, steps=300, rate=1e-2)
    >>> ends.error.tolist(), bool((ends.fit < 0.05).all())
    ([0.0, 0.0], True)
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps: expected a whole number of at least 1, got {steps!r}")
    numbers = as_seeds(seeds)
    begun = draw_starts(network, numbers, key, scale)
    paths = gradient_descent(
        network, begun, [steps], _rule(optimiser, rate, steps), observe=_point, compare=False, workers=workers,
        progress=progress,
    )  # fmt: skip
    ends = jax.tree.map(lambda x: np.asarray(x[:, 0]), paths.values)
    value, fit, norm, error = in_few_lengths(lambda some: _summary(network, some), ends)
    return TrainedNetworks(network, numbers, ends, value, fit, norm, error, steps)


def _rule(optimiser: Any, rate: float | None, steps: int) -> Any:
    """The optax transformation of an optimiser."""
    if isinstance(optimiser, str):
        if optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser: expected one of {', '.join(OPTIMISERS)} or one of optax, got {optimiser!r}")
        chosen = OPTIMISERS[optimiser] if rate is None else float(rate)
        if not (np.isfinite(chosen) and chosen > 0):
            raise ValueError(f"rate: expected a positive number, got {rate}")
        return _named(optimiser, chosen, steps)
    if rate is not None:
        raise ValueError(f"rate: expected none beside an optimiser of optax, which has its own, got {rate}")
    return optimiser


@functools.cache  # a new transformation would be a new program
def _named(optimiser: str, rate: float, steps: int) -> Any:
    try:
        import optax
    except ImportError as error:
        raise ImportError("training needs optax: pip install 'nctheory[networks]'") from error

    cooling = max(1, round(COOLING * steps))

    def schedule(count: Any) -> Any:  # optax's own is of single precision
        return rate * jnp.minimum(1.0, (steps - count.astype(float)) / cooling)

    return optax.adam(schedule) if optimiser == "adam" else optax.sgd(schedule, momentum=MOMENTUM)


def _point(problem: Problem, params: NetworkParams) -> NetworkParams:
    return params


@fast_compile
def _summary(network: FeedForward, params: NetworkParams) -> tuple[Array, ...]:
    """Value, fit, gradient norm and training error of each seed."""

    def one(point: NetworkParams) -> tuple[Array, ...]:
        value, slope = network.value_and_grad(point)
        norm = jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(slope)))
        wrong = jnp.argmax(network.logits(point), axis=0) != jnp.argmax(jnp.asarray(network.targets), axis=0)
        return jnp.asarray(value), jnp.asarray(network.fit(point)), norm, jnp.mean(wrong.astype(float))

    return map_in_blocks(one, params, 8)


@untraced()
@float64
def error_on(trained: TrainedNetworks, inputs: Any, labels: Any) -> np.ndarray:
    """The share of samples, N x d_0 or of any shape a sample, that each seed's network gets wrong; NaN of one that diverged.

    Raises ValueError, naming the argument, for inputs of another size and labels out of range.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1, test=4)
    >>> ends = train(network_on(mixture, (5, 5)), seeds=2, steps=300, rate=1e-2)
    >>> error_on(ends, mixture.test_inputs, mixture.test_labels).tolist()
    [0.0, 0.0]
    """
    x, y = _samples(trained.network, inputs, labels)
    found = np.full(len(trained.seeds), np.nan)
    for i in np.flatnonzero(trained.finite):
        point = jax.tree.map(lambda leaf, i=i: leaf[i], trained.params)
        found[i] = np.mean(np.argmax(np.asarray(trained.network.layers_of(point, x)[-1]), axis=0) != y)
    return found


def _samples(network: FeedForward, inputs: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples as columns, and their labels, checked."""
    raw = as_numpy("inputs", inputs)
    if raw.ndim < 2 or len(raw) == 0:
        raise ValueError(f"inputs: expected N x (shape of a sample), got shape {raw.shape}")
    flat = raw.astype(np.float64).reshape(len(raw), -1)
    if flat.shape[1] != network.widths[0]:
        raise ValueError(f"inputs: expected {network.widths[0]} numbers a sample, got {flat.shape[1]}")
    return flat.T, read_labels(labels, len(flat), network.widths[-1])


@untraced()
@float64
def layer_metrics(
    trained: TrainedNetworks, inputs: Any = None, labels: Any = None, *, target: Any = "simplex_etf"
) -> NCMetrics:
    """All collapse metrics of every layer of every seed: arrays seeds x layers, from the inputs Z_0 to the features Z_{L-1}.

    By default of the training set; `inputs` (N x d_0, samples first) and `labels` measure other samples. The classifier is
    held against the last layer. A seed whose training did not stay finite is NaN throughout.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = train(network_on(mixture, (5, 5)), seeds=2, steps=300, rate=1e-2)
    >>> found = layer_metrics(ends)
    >>> found.layers, found.nc1.shape, bool((found.trace_ratio[:, 2] < found.trace_ratio[:, 0]).all())
    (('inputs', 'layer 1', 'layer 2'), (2, 3), True)
    """
    network = trained.network
    if (inputs is None) != (labels is None):
        raise ValueError("labels: expected both inputs and labels, or neither")
    if inputs is None:
        x, y = np.asarray(network.inputs), np.argmax(np.asarray(network.targets), axis=0)
    else:
        x, y = _samples(network, inputs, labels)
    names = ("inputs", *(f"layer {i}" for i in range(1, network.depth)))
    found = []
    for i in np.flatnonzero(trained.finite):
        point = jax.tree.map(lambda leaf, i=i: leaf[i], trained.params)
        layers = [np.asarray(layer).T for layer in network.layers_of(point, x)[:-1]]
        bias = None if point.biases is None else point.biases[-1]
        with np.errstate(over="ignore", invalid="ignore"):  # of a seed on its way to infinity
            found.append(nc_metrics(layers, y, point.weights[-1], bias, target=target, classes=network.widths[-1]))
    if not found:
        raise ValueError("trained: expected a seed whose training stayed finite, got none")

    def stacked(name: str) -> np.ndarray:
        parts = np.stack([np.asarray(getattr(one, name), float) for one in found])
        whole = np.full((len(trained.seeds), *parts.shape[1:]), np.nan)
        whole[trained.finite] = parts
        return whole

    fields = {name: stacked(name) for name in NCMetrics._fields[1:-1]}
    return NCMetrics(counts=found[0].counts, **fields, layers=names)
