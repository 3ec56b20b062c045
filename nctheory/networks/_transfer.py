"""What the layers of pretrained networks know of other classes, against their collapse and against the inputs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from nctheory.engine import float64, shown, untraced, whole_number
from nctheory.measures import Moments, ReadOut, nc_metrics
from nctheory.networks._data import Data
from nctheory.networks._pretrained import check_samples, checked_network, depth_of, finite_points
from nctheory.networks._probe import few_shots, layer_outputs, linear_probe
from nctheory.networks._ranks import RankCorrelations, rank_correlations
from nctheory.networks._train import TrainedNetworks

METRICS = ("nc1", "trace_ratio", "cdnv")
"""The metrics of collapse that are held against transfer."""
READERS = ("probe", "nearest mean")
LEVEL = 0.05
"""The probability with which any layer of equal worth is called better or worse than the inputs (conventional)."""


@shown()
class LayerCollapse(NamedTuple):
    """Metrics of collapse, each seeds x layers, from the inputs Z_0 to Z_{L-1}; NaN of a seed that did not stay finite."""

    nc1: np.ndarray
    trace_ratio: np.ndarray
    cdnv: np.ndarray


@shown()
class AgainstInputs(NamedTuple):
    """The linear probe of each layer against that of the inputs on the same shots, shots x layers."""

    gain: np.ndarray
    """The error of the inputs less that of the layer: the mean over seeds and episodes."""
    standard_error: np.ndarray
    """Of the gain, over seeds and over episodes, their squares added; of neither where there is only one."""
    verdict: tuple[tuple[str, ...], ...]
    """"better" or "worse" than the inputs, or "undecided", by Student's t (with the degrees of
    freedom of Welch and Satterthwaite) at 5 % shared among the hidden layers."""


@shown("words")
class Transfer(NamedTuple):
    """Collapse and transfer of every layer of every seed, for shots and episodes that all of them share."""

    seeds: np.ndarray
    layers: tuple[str, ...]
    """The names of Z_0, …, Z_{L-1}."""
    shots: tuple[int, ...]
    """Samples of each target class that a probe learns from."""
    source: LayerCollapse
    """On the training samples of the source classes."""
    target: LayerCollapse
    """On the training samples of the target classes."""
    probe_error: np.ndarray
    """Of `linear_probe` on the target's test samples, seeds x shots x layers x episodes."""
    nearest_mean_error: np.ndarray
    """The same of the nearest class mean of the shots."""
    against_inputs: AgainstInputs
    correlations: RankCorrelations
    """Of collapse with the means of these errors over the episodes."""
    shared: int
    """Samples of the target that are in the source's training set too: where there are any the classes overlap."""

    @property
    def words(self) -> tuple[str, ...]:
        """Whether features beat the inputs, in one sentence for each number of shots."""
        told = []
        for i, number in enumerate(self.shots):
            verdict = self.against_inputs.verdict[i]
            better = [name for name, word in zip(self.layers, verdict, strict=True) if word == "better"]
            last = {"better": "beat", "worse": "are worse than", "undecided": "are not told from"}[verdict[-1]]
            said = f"with {number} shots the features of the last layer {last} the inputs"
            told.append(f"{said}, and those of {', '.join(better) or 'no layer'} are better than they")
        return tuple(told)

    def standard_error(self) -> np.ndarray:
        """Of the mean probe error over the episodes, seeds x shots x layers; NaN of one episode."""
        episodes = self.probe_error.shape[-1]
        if episodes < 2:
            return np.full(self.probe_error.shape[:-1], np.nan)
        return np.std(self.probe_error, axis=-1, ddof=1) / episodes**0.5


@untraced()
@float64
def transfer(
    trained: TrainedNetworks,
    source: Data,
    target: Data,
    *,
    shots: Sequence[int] = (1, 5, 20),
    episodes: int = 10,
    key: int = 0,
) -> Transfer:
    """How well each layer of networks that were trained on `source` tells the classes of `target`, by collapse and by shots.

    Collapse is that of the training samples, all of them. In every episode `shots` samples of each target class are drawn
    (`few_shots`), the same for every seed and layer and those of fewer shots among those of more; a linear probe and the
    nearest class mean learn from them, and are asked for all test samples of the target. Layer 0 is the inputs: the control
    that matters, for a network whose features do not beat pixels has nothing to transfer. `AgainstInputs` says of each layer
    whether it does, and `correlations` whether collapse goes along with transfer, with depth as the confounder that it is.
    Test samples are taken as they are: no interval is over other test sets.

    Raises ValueError, naming the argument, for inputs of another size, a source with other classes than the networks', data
    without a test set, and fewer samples than shots.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(9,) * 4, dim=6, spread=0.2, test=10)
    >>> source, target = mixture.only(0, 1), mixture.only(2, 3)
    >>> trunk = nct.networks.train(nct.networks.network_on(source, (5, 5)), seeds=2, steps=100)
    >>> found = transfer(trunk, source, target, shots=(1, 5), episodes=3)
    >>> found.layers, found.probe_error.shape, found.shared
    (('inputs', 'layer 1', 'layer 2'), (2, 2, 3, 3), 0)
    """
    network = checked_network(trained, target)
    if source.labels.ndim != 1 or source.classes != network.classes:
        raise ValueError(f"source: expected the {network.classes} classes of the networks, got {source.classes}")
    check_samples("source", network, source)
    if min(source.counts) == 0:
        raise ValueError(f"source: expected samples of every class, got {source.counts}")
    if np.ndim(shots) != 1 or len(shots) == 0:
        raise ValueError(f"shots: expected a list of whole numbers, got {shots!r}")
    wanted = tuple(whole_number("shots", number) for number in shots)
    rows = [few_shots(target.labels, number, episodes, key) for number in wanted]
    form = (len(trained.seeds), depth_of(network))
    collapse = np.full((*form, 2, len(METRICS)), np.nan)
    errors = np.full((*form, len(READERS), len(wanted), episodes), np.nan)
    for i, (_, point) in zip(np.flatnonzero(trained.finite), finite_points(trained), strict=True):
        of_source = layer_outputs(network, point, source.inputs)
        of_target, tested = (layer_outputs(network, point, x) for x in (target.inputs, target.test_inputs))
        for side, (features, labels) in enumerate(((of_source, source.labels), (of_target, target.labels))):
            found = nc_metrics(features, labels)
            collapse[i, :, side] = np.stack([getattr(found, name) for name in METRICS], axis=-1)
        for layer, (features, others) in enumerate(zip(of_target, tested, strict=True)):
            for j, episode in np.ndindex(len(wanted), episodes):
                some = rows[j][episode]
                errors[i, layer, :, j, episode] = _errors(
                    features[some], target.labels[some], others, target.test_labels
                )
    probes = errors[:, :, 0].swapaxes(1, 2)
    return Transfer(
        trained.seeds, network.layer_names, wanted, *(_collapse(collapse[:, :, side]) for side in range(2)),
        probe_error=probes, nearest_mean_error=errors[:, :, 1].swapaxes(1, 2),
        against_inputs=_against_inputs(probes[trained.finite]), shared=_shared(source, target),
        correlations=rank_correlations(collapse, errors.mean(axis=-1)),
    )  # fmt: skip


def _errors(features: np.ndarray, labels: np.ndarray, others: np.ndarray, asked: np.ndarray) -> tuple[float, float]:
    """The test errors of the probe and of the nearest mean."""
    moments = Moments(int(labels.max()) + 1, per_class=False).add(features, labels)
    nearest = ReadOut(moments).add(others, asked).nearest_mean_error
    return float(linear_probe(features, labels, others, asked).error), nearest


def _collapse(values: np.ndarray) -> LayerCollapse:
    """Metrics, seeds x layers x metrics, by name."""
    return LayerCollapse(*np.moveaxis(values, -1, 0))


def _against_inputs(errors: np.ndarray) -> AgainstInputs:
    """The verdict on errors, seeds x shots x layers x episodes."""
    gains = errors[:, :, :1] - errors
    parts, freedom = [], []
    for axis, others in ((0, -1), (-1, 0)):
        number = gains.shape[axis]
        if number > 1:
            # Means over the other axis vary over this one, and their mean by so much less.
            means = gains.mean(axis=others)
            parts.append(np.var(means, axis=axis, ddof=1) / number)
            freedom.append(number - 1)
    squares = np.sum(parts, axis=0) if parts else np.full(gains.shape[1:3], np.nan)
    hidden, gain, spread = gains.shape[2] - 1, gains.mean(axis=(0, -1)), np.sqrt(squares)
    # Welch and Satterthwaite: a sum of variances of f_i degrees of freedom has (sum v_i)^2/sum(v_i^2/f_i) of them.
    under = sum((part**2 / free for part, free in zip(parts, freedom, strict=True)), np.zeros(squares.shape))
    free = np.where(under > 0, squares**2 / np.where(under > 0, under, 1.0), 1.0)
    least = stats.t.ppf(1.0 - LEVEL / (2 * hidden), free) * spread

    def word(i: int, layer: int) -> str:
        if layer == 0:
            return "inputs"
        if not abs(gain[i, layer]) > least[i, layer]:  # NaN decides nothing
            return "undecided"
        return "better" if gain[i, layer] > 0 else "worse"

    verdict = tuple(tuple(word(i, layer) for layer in range(hidden + 1)) for i in range(len(gain)))
    return AgainstInputs(gain, spread, verdict)


def _shared(source: Data, target: Data) -> int:
    """Samples of the target, for training or test, whose inputs are those of a training sample of the source."""
    known = {row.tobytes() for row in np.ascontiguousarray(source.inputs)}
    both: list[Any] = [np.ascontiguousarray(target.inputs), np.ascontiguousarray(target.test_inputs)]
    return sum(row.tobytes() in known for part in both for row in part)
