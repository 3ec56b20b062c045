"""The certified distance of the heads of trained networks from the unconstrained-feature model, at any checkpoint."""

import jax
import numpy as np

from nctheory.engine import float64, untraced
from nctheory.networks._peeled import PeeledGap, peeled_gap
from nctheory.networks._train import TrainedNetworks


@untraced()
@float64
def peeled_gaps(trained: TrainedNetworks) -> tuple[PeeledGap, ...]:
    """`peeled_gap` of every seed's head on the training samples, at the network's own decay.

    The weight decay is that of the last layer, and so is that of its bias where there is one; the features' is what makes both
    penalties equal. A seed whose training did not stay finite is NaN throughout. `trained.at(step)` gives the same at
    a checkpoint, so that the distance can be followed along training; a network whose last layer is not decayed has its
    efficiency alone.

    Raises ValueError for a network without a linear head, where no seed stayed finite, and for targets that are not those of
    one label a sample.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> network = nct.networks.network_on(mixture, (5, 5), weight_decay=1e-2)
    >>> ends = nct.networks.train(network, seeds=2, steps=300, checkpoints=(10,))
    >>> early, late = peeled_gaps(ends.at(10)), peeled_gaps(ends)
    >>> all(a.gap < b.gap and a.efficiency > b.efficiency for a, b in zip(late, early)), late[0].theorem
    (True, 'ufm-mse-nobias')
    """
    network, labels = trained.network, trained.network.labels
    expected = np.asarray(network.loss.encode(np.eye(network.classes)[:, labels]))
    if not np.array_equal(expected, np.asarray(network.targets)):
        raise ValueError("trained: expected targets of one label a sample, got others")
    if not trained.finite.any():
        raise ValueError("trained: expected a seed whose training stayed finite, got none")
    decays = network.head(network.decays())
    if decays is None:
        raise ValueError("trained: expected a network with a linear head, got one without")
    of_weights, of_bias = (None if one is None else float(np.asarray(one)) for one in decays)
    return tuple(
        _of_seed(trained, i, labels, of_weights, of_bias) if finite else _unknown()
        for i, finite in enumerate(trained.finite)
    )


def _of_seed(
    trained: TrainedNetworks, row: int, labels: np.ndarray, of_weights: float | None, of_bias: float | None
) -> PeeledGap:
    """The comparison for one seed."""
    network = trained.network
    point = jax.tree.map(lambda x: np.asarray(x[row]), trained.params)
    weights, bias = network.head(point) or (None, None)
    features = np.asarray(network.layers(point)[-2]).T
    return peeled_gap(
        features, labels, weights, bias, loss=network.loss, weight_decay=of_weights or None,
        bias_decay=of_bias if of_weights else None,
    )  # fmt: skip


def _unknown() -> PeeledGap:
    """What is known of a seed whose training did not stay finite."""
    nan = float("nan")
    return PeeledGap(nan, nan, (nan, nan), nan, nan, None, nan, nan, nan, "training did not stay finite")
