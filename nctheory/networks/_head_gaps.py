"""The certified distance of the heads of trained networks from the unconstrained-feature model, along training too."""

from typing import NamedTuple

import jax
import numpy as np

from nctheory.engine import float64, shown, untraced
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
    if not trained.finite.any():
        raise ValueError("trained: expected a seed whose training stayed finite, got none")
    return _of_seeds(trained)


@shown()
class HeadGaps(NamedTuple):
    """`peeled_gaps` along training: arrays seeds x checkpoints, NaN where a seed is not finite or nothing is known."""

    steps: np.ndarray
    """The numbers of steps of the checkpoints, and of the end."""
    value: np.ndarray
    """The objective of the unconstrained-feature model at each head, at the network's own norms and decay."""
    lower_bound: np.ndarray
    """A certified lower bound of that objective."""
    gap: np.ndarray
    """(value - lower_bound) / value."""
    gap_to_minimum: np.ndarray
    """(value - the least value known) / value."""
    efficiency: np.ndarray
    """A certified lower bound on the share of the spent norm |W||H| that the fit of the network needs."""
    theorem: str | None
    """The theorem that gives the least value, or None where it was found by solving."""


@untraced()
@float64
def head_gaps(trained: TrainedNetworks) -> HeadGaps:
    """How far every seed's head is from the best that free features could do, at every checkpoint and at the end.

    It is `peeled_gaps` of each of them, so that `nct.plot` of what returns shows how gap and efficiency move in training.
    A network without decay in its last layer has its efficiency alone.

    Raises ValueError for a training without checkpoints, for a network without a linear head, where no seed is finite
    anywhere, and for targets that are not those of one label a sample.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> network = nct.networks.network_on(mixture, (5, 5), weight_decay=1e-2)
    >>> found = head_gaps(nct.networks.train(network, seeds=2, steps=300, checkpoints=(10,)))
    >>> found.steps.tolist(), found.gap.shape, bool((found.gap[:, 1] < found.gap[:, 0]).all())
    ([10, 300], (2, 2), True)
    """
    if not trained.passed:
        raise ValueError("trained: expected checkpoints, got a training without")
    looks = [trained.at(step) for step in sorted(trained.passed) if step != trained.steps]
    looks.append(trained)
    if not any(look.finite.any() for look in looks):
        raise ValueError("trained: expected a seed that is finite at some checkpoint, got none")
    rows = [_of_seeds(look) for look in looks]

    def along(name: str) -> np.ndarray:
        return np.array([[float(getattr(one, name)) for one in row] for row in rows]).T

    theorem = next((one.theorem for row in rows for one in row if np.isfinite(one.fit)), None)
    return HeadGaps(
        np.array([look.steps for look in looks]), along("value"), along("lower_bound"), along("gap"),
        along("gap_to_minimum"), along("efficiency"), theorem,
    )  # fmt: skip


def _of_seeds(trained: TrainedNetworks) -> tuple[PeeledGap, ...]:
    """The comparison for every seed."""
    network, labels = trained.network, trained.network.labels
    expected = np.asarray(network.loss.encode(np.eye(network.classes)[:, labels]))
    if not np.array_equal(expected, np.asarray(network.targets)):
        raise ValueError("trained: expected targets of one label a sample, got others")
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
