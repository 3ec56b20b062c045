"""What the layers of trained networks have learned, and what they get wrong."""

from typing import Any

import jax
import numpy as np

from nctheory.engine import Array, fast_compile, float64, untraced
from nctheory.measures import NCMetrics, nc_metrics, read_labels
from nctheory.networks._data import read_samples
from nctheory.networks._network import Network
from nctheory.networks._train import TrainedNetworks
from nctheory.problems import Params


@untraced()
@float64
def error_on(trained: TrainedNetworks, inputs: Any, labels: Any) -> np.ndarray:
    """The share of samples, first axis N, that each seed's network gets wrong; NaN of one that diverged.

    Raises ValueError, naming the argument, for inputs of another size or that are not finite, and labels out of range.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1, test=4)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (5, 5)), seeds=2, steps=300)
    >>> error_on(ends, mixture.test_inputs, mixture.test_labels).tolist()
    [0.0, 0.0]
    """
    x, y = _samples(trained.network, inputs, labels)
    found = np.full(len(trained.seeds), np.nan)
    for i in np.flatnonzero(trained.finite):
        point = jax.tree.map(lambda leaf, i=i: leaf[i], trained.params)
        found[i] = np.mean(np.argmax(np.asarray(_layers_of(trained.network, point, x)[-1]), axis=0) != y)
    return found


@fast_compile
def _layers_of(network: Network, point: Params, inputs: Array) -> list[Array]:
    return network.layers_of(point, inputs)


def _samples(network: Network, inputs: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples in the form of the network, and their labels, checked."""
    raw = read_samples("inputs", inputs)
    return network.read_inputs(raw), read_labels(labels, len(raw), network.classes)


@untraced()
@float64
def layer_metrics(
    trained: TrainedNetworks, inputs: Any = None, labels: Any = None, *, target: Any = "simplex_etf"
) -> NCMetrics:
    """All collapse metrics of every layer of every seed: arrays seeds x layers, from the inputs Z_0 to the features Z_{L-1}.

    By default of the training set; `inputs` (samples first) and `labels` measure other samples. The classifier is
    held against the last layer. A seed whose training did not stay finite is NaN throughout.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (5, 5)), seeds=2, steps=300)
    >>> found = layer_metrics(ends)
    >>> found.layers, found.nc1.shape, bool((found.trace_ratio[:, 2] < found.trace_ratio[:, 0]).all())
    (('inputs', 'layer 1', 'layer 2'), (2, 3), True)
    """
    network = trained.network
    if (inputs is None) != (labels is None):
        raise ValueError("labels: expected both inputs and labels, or neither")
    if inputs is None:
        x, y = np.asarray(network.inputs), network.labels
    else:
        x, y = _samples(network, inputs, labels)
    found = []
    for i in np.flatnonzero(trained.finite):
        point = jax.tree.map(lambda leaf, i=i: leaf[i], trained.params)
        layers = [np.asarray(layer).T for layer in _layers_of(network, point, x)[:-1]]
        with np.errstate(over="ignore", invalid="ignore"):  # of a seed on its way to infinity
            head = network.head(point) or (None, None)
            found.append(nc_metrics(layers, y, *head, target=target, classes=network.classes))
    if not found:
        raise ValueError("trained: expected a seed whose training stayed finite, got none")

    def stacked(name: str) -> np.ndarray:
        parts = np.stack([np.asarray(getattr(one, name), float) for one in found])
        whole = np.full((len(trained.seeds), *parts.shape[1:]), np.nan)
        whole[trained.finite] = parts
        return whole

    fields = {name: stacked(name) for name in NCMetrics._fields[1:-1]}
    return NCMetrics(counts=found[0].counts, **fields, layers=network.layer_names)
