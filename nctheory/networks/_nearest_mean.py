"""Bounds on the nearest-mean error of trained networks, layer by layer, against what the error is."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from nctheory.engine import float64, shown, untraced, whole_number
from nctheory.generalisation import (
    PopulationMoments,
    cantelli_bound,
    directional_cdnv_bound,
    few_shot_bound,
    finite_few_shot_error,
    population_moments,
    sampled_few_shot_error,
)
from nctheory.networks._data import Data
from nctheory.networks._network import Network
from nctheory.networks._train import TrainedNetworks


@shown()
class NearestMeanBounds(NamedTuple):
    """Actual errors of the nearest mean on the test set, and bounds on them: arrays seeds x layers (x shots).

    The test set is the population: means and draws are of its samples, and so are the moments of the bounds. The same bounds
    with the moments of the training set stand beside them as `plug_in`: no theorem says that they hold. A seed whose training
    did not stay finite is NaN throughout and counts nowhere.
    """

    layers: tuple[str, ...]
    """"inputs", "layer 1", …, up to the features that the classifier sees."""
    shots: tuple[int, ...]
    error: np.ndarray
    """The exact error of the nearest mean of the population."""
    bound: np.ndarray
    """`cantelli_bound` of it."""
    plug_in: np.ndarray
    """The same from the moments of the training set."""
    few_shot_error: np.ndarray
    """The error of the nearest mean of m draws, estimated."""
    low: np.ndarray
    """The lower end of the confidence interval of that."""
    high: np.ndarray
    """The upper end."""
    few_shot: np.ndarray
    """`few_shot_bound` of it."""
    in_cdnv: np.ndarray
    """`directional_cdnv_bound` of it."""
    few_shot_plug_in: np.ndarray
    """`few_shot_bound` from the moments of the training set."""
    guessing: float
    """1 - 1/K, the error of guessing: a bound that does not lie below it is vacuous."""

    @property
    def vacuous(self) -> np.ndarray:
        """The mask of bounds on `error` that say no more than guessing does."""
        return self.bound >= self.guessing

    @property
    def few_shot_vacuous(self) -> np.ndarray:
        """The mask of bounds on `few_shot_error` that say no more than guessing does."""
        return self.few_shot >= self.guessing

    @property
    def violations(self) -> int:
        """How many errors exceed a bound from moments of the population; of estimates the lower end counts."""
        beyond = (self.error > self.bound, self.low > self.few_shot, self.low > self.in_cdnv)
        return int(sum(np.sum(one) for one in beyond))

    @property
    def plug_in_violations(self) -> int:
        """How many errors exceed a bound from moments of the training set."""
        return int(np.sum(self.error > self.plug_in) + np.sum(self.low > self.few_shot_plug_in))


@untraced()
@float64
def nearest_mean_bounds(
    trained: TrainedNetworks, data: Data, shots: Sequence[int] = (1, 5, 20), *, draws: int = 1000, key: int = 0
) -> NearestMeanBounds:
    """Bounds and errors of the nearest mean in every layer of every seed, from the inputs to the last features.

    The population is the test set of `data`, each class with equal weight. The error of the population means is exact; that
    of m `shots` is estimated from so many `draws`, with an interval of confidence 0.999 each
    (`nctheory.generalisation.sampled_few_shot_error`).

    Raises ValueError, naming the argument, where the test set lacks a class or has other inputs than the network, for shots
    below one, and where no seed stayed finite.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1, test=9)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (5, 5)), seeds=2, steps=300, rate=1e-2)
    >>> found = nearest_mean_bounds(ends, mixture, shots=(1, 5), draws=50)
    >>> found.layers, found.few_shot.shape, found.violations
    (('inputs', 'layer 1', 'layer 2'), (2, 3, 2), 0)
    """
    network = trained.network
    numbers = tuple(whole_number(f"shots[{i}]", m) for i, m in enumerate(shots))
    sets, first = whole_number("draws", draws, least=2), whole_number("key", key, least=0)
    x, y = _test_set(data, network)
    trained_on, names = network.labels, network.layer_names
    size = (len(trained.seeds), len(names))
    plain = {name: np.full(size, np.nan) for name in ("error", "bound", "plug_in")}
    many = ("few_shot_error", "low", "high", "few_shot", "in_cdnv", "few_shot_plug_in")
    shot = {name: np.full((*size, len(numbers)), np.nan) for name in many}
    if not trained.finite.any():
        raise ValueError("trained: expected a seed whose training stayed finite, got none")
    for i in np.flatnonzero(trained.finite):
        point = jax.tree.map(lambda leaf, i=i: leaf[i], trained.params)
        tested, seen = network.layers_of(point, x), network.layers(point)
        for j in range(len(names)):
            features = np.asarray(tested[j]).T
            own = population_moments(features, y, network.classes)
            training = population_moments(np.asarray(seen[j]).T, trained_on, network.classes)
            plain["error"][i, j] = finite_few_shot_error(features, y, None).total
            plain["bound"][i, j], plain["plug_in"][i, j] = (cantelli_bound(one).total for one in (own, training))
            for k, m in enumerate(numbers):
                row = _few_shot(features, y, own, training, m, sets, first)
                for name, value in zip(many, row, strict=True):
                    shot[name][i, j, k] = value
    return NearestMeanBounds(names, numbers, **plain, **shot, guessing=1.0 - 1.0 / network.classes)


def _few_shot(
    features: np.ndarray,
    y: np.ndarray,
    own: PopulationMoments,
    training: PopulationMoments,
    m: int,
    draws: int,
    key: int,
) -> tuple[float, ...]:
    """Estimate, interval, and the three bounds, for one number of shots."""
    found = sampled_few_shot_error(features, y, m, draws=draws, key=key)
    bounds = few_shot_bound(own, m), directional_cdnv_bound(own, m), few_shot_bound(training, m)
    return found.error, found.low, found.high, *(float(one.total) for one in bounds)


def _test_set(data: Data, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """The test set in the form of the network, with samples of all classes."""
    classes = network.classes
    if data.labels.ndim != 1 or data.classes != classes:
        raise ValueError(f"data: expected one label a sample of {classes} classes, got {data.classes} classes or tags")
    missing = np.flatnonzero(np.bincount(data.test_labels, minlength=classes) == 0)
    if missing.size:
        raise ValueError(f"data: expected test samples of all {classes} classes, got none of class {missing[0]}")
    return network.read_inputs(data.test_inputs), data.test_labels
