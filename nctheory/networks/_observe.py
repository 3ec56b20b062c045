"""`observe`: networks trained from many seeds, their controls, and what an observation's rule makes of them."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from nctheory.engine import float64, shown, untraced, whole_number
from nctheory.networks._decision import Outcome, Tally, decide, median_interval
from nctheory.networks._observation import ControlGroup, Observation, Statistic, Trial, find_observation
from nctheory.networks._train import TrainedNetworks, train

QUICK = 8
"""A quick run takes one of so many seeds."""
NETWORKS = "networks"
"""The name of the group that a claim is about."""


@shown()
@dataclasses.dataclass(frozen=True)
class ObservedGroup:
    """What was measured of the networks of an observation, or of a control; arrays have a leading axis seeds.

    Where a seed has several networks, `grad_norm`, `unrest` and `error` are those of its worst.
    """

    name: str
    grad_norm: np.ndarray
    """The norm of the objective's gradient."""
    unrest: np.ndarray
    r"""$|\nabla f|/|\lambda\theta|$: that norm relative to the gradient of the decay; infinite without a decay."""
    error: np.ndarray
    """The share of training samples that the network gets wrong; NaN of samples with tags."""
    finite: np.ndarray
    """The mask of seeds whose training stayed finite."""
    numbers: Mapping[str, np.ndarray]
    """Everything that was measured, by name."""


@shown()
@dataclasses.dataclass(frozen=True)
class ObservedStatistic:
    """What one statistic of an observation came out as."""

    name: str
    claim: str
    supports: str
    threshold: float
    values: np.ndarray
    """One number a seed of the networks; NaN where it tells nothing."""
    tally: Tally
    interval: tuple[float, float]
    """The exact interval, at 95 %, of the share of seeds that support the claim (see `share_interval`)."""
    effect: tuple[float, float, float]
    """The median of the values, and its bootstrap interval at 95 %."""
    controls: Mapping[str, Tally]
    """The same counts of every control group, terminal or not."""
    against: tuple[str, ...]
    """The controls that must not show it; the others stand beside it for comparison."""
    outcome: Outcome
    reason: str


@shown("outcome")
@dataclasses.dataclass(frozen=True)
class Observed:
    """What an observation came out as: never that it "holds", but what its rule says of these seeds."""

    observation: str
    title: str
    statistics: tuple[ObservedStatistic, ...]
    groups: tuple[ObservedGroup, ...]
    """The networks first, then the controls."""
    seeds: int
    fixed_seeds: int
    """The number of seeds that was fixed beforehand."""
    share: float
    terminal: float | None
    key: int
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """Observed if every statistic is, not observed if one of them is not, else undecided."""
        outcomes = {one.outcome for one in self.statistics}
        if "not observed" in outcomes:
            return "not observed"
        return "observed" if outcomes == {"observed"} else "undecided"

    @property
    def terminal_seeds(self) -> np.ndarray:
        """The mask of the seeds whose networks count as terminal; all that stayed finite where the claim asks for none."""
        first = self.groups[0]
        return first.finite if self.terminal is None else first.finite & (first.unrest <= self.terminal)


@untraced()
@float64
def observe(
    observation: Observation | str,
    *,
    seeds: int | None = None,
    key: int = 0,
    quick: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Observed:
    """Train the networks of an observation and of its controls, and decide by the rule that it fixed beforehand.

    `seeds` is by default the number that the observation fixed; `quick` takes an eighth of it, which with up to 31 seeds is
    too few to be anything but undecided: two of two seeds leave shares from 15 % to 100 % open. Seed i of a key has the same
    data and starts in every run. `progress` is called with the number of seeds done, controls included.

    Raises ValueError for an unknown identifier, numbers of seeds or a key that are no whole numbers, and an observation whose
    `measure` does not give its statistics.

    >>> found = observe("progressive-collapse", seeds=1)
    >>> found.outcome, found.seeds, [group.name for group in found.groups]
    ('undecided', 1, ['networks', 'random features', 'permuted labels'])
    """
    chosen = find_observation(observation) if isinstance(observation, str) else observation
    key = whole_number("key", key, least=0)
    number = chosen.seeds if seeds is None else whole_number("seeds", seeds)
    number = max(1, number // QUICK) if quick else number
    begun = time.perf_counter()
    groups = []
    for control in (None, *chosen.controls):
        rows = []
        for seed in range(number):
            rows.append(_row(chosen, control, seed, int(key)))
            if progress is not None:
                progress(1)
        groups.append(_group(NETWORKS if control is None else control.name, rows))
    statistics = tuple(_decided(chosen, one, groups) for one in chosen.statistics)
    return Observed(
        chosen.id, chosen.title, statistics, tuple(groups), number, chosen.seeds, chosen.share, chosen.terminal, int(key),
        time.perf_counter() - begun,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Row:
    """One seed of one group; `numbers` is empty where training did not stay finite."""

    grad_norm: float
    unrest: float
    error: float
    finite: bool
    numbers: Mapping[str, Any]


def _row(observation: Observation, control: ControlGroup | None, seed: int, key: int) -> _Row:
    """Data, training and numbers of one seed."""
    drawn = int(np.random.SeedSequence([key, seed]).generate_state(1)[0])
    data = observation.data(drawn)
    build, training = observation.networks, dict(observation.training)
    if control is not None:
        data = data.permuted_labels(drawn) if control.permuted else data
        build = control.networks or build
        if control.untrained:
            training = {"steps": 1, "optimiser": _at_rest()}
    trained = {name: train(network, [seed], key, **training) for name, network in build(data).items()}
    finite = all(bool(one.finite[0]) for one in trained.values())
    numbers: Mapping[str, Any] = {}
    if finite:
        with np.errstate(all="ignore"):  # what is not finite tells nothing
            numbers = observation.measure(Trial(data, trained))
        missing = [one.name for one in observation.statistics if one.name not in numbers]
        if missing:
            raise ValueError(
                f"measure: expected a number {missing[0]!r} from {observation.id!r}, got {', '.join(numbers)}"
            )
    return _Row(
        max(float(one.grad_norm[0]) for one in trained.values()),
        max(_unrest(one) if finite else np.nan for one in trained.values()),
        float("nan") if data.labels.ndim == 2 else max(float(one.error[0]) for one in trained.values()),
        finite,
        numbers,
    )


@functools.cache  # a new transformation would be a new program
def _at_rest() -> Any:
    """The optimiser that leaves networks where they started."""
    import optax

    return optax.set_to_zero()


def _unrest(trained: TrainedNetworks) -> float:
    """The norm of the gradient relative to that of the decay's part of it."""
    point = jax.tree.map(lambda leaf: np.asarray(leaf)[0], trained.params)
    parts = jax.tree.map(lambda decay, x: np.sum(np.square(np.asarray(decay) * x)), trained.network.decays(), point)
    decay = float(np.sqrt(sum(jax.tree.leaves(parts))))
    return float(trained.grad_norm[0]) / decay if decay > 0 else float("inf")


def _group(name: str, rows: list[_Row]) -> ObservedGroup:
    """The seeds of a group side by side, NaN where there is nothing."""
    known = next((row.numbers for row in rows if row.numbers), {})

    def column(field: str) -> np.ndarray:
        empty = np.full(np.shape(known[field]), np.nan)
        return np.stack([np.asarray(row.numbers.get(field, empty), float) for row in rows])

    return ObservedGroup(
        name=name,
        grad_norm=np.array([row.grad_norm for row in rows]),
        unrest=np.array([row.unrest for row in rows]),
        error=np.array([row.error for row in rows]),
        finite=np.array([row.finite for row in rows]),
        numbers={field: column(field) for field in known},
    )


def _decided(observation: Observation, statistic: Statistic, groups: list[ObservedGroup]) -> ObservedStatistic:
    """The outcome of one statistic."""
    nothing = np.full(len(groups[0].finite), np.nan)
    columns = [
        np.where(np.isfinite(one := group.numbers.get(statistic.name, nothing)), one, np.nan) for group in groups
    ]
    if observation.terminal is not None:
        columns[0] = np.where(groups[0].unrest <= observation.terminal, columns[0], np.nan)
    tallies = [_tally(statistic, values) for values in columns]
    beside = {group.name: tally for group, tally in zip(groups[1:], tallies[1:], strict=True)}
    against = observation.against(statistic)
    outcome, reason = decide(tallies[0], observation.share, {name: beside[name] for name in against})
    return ObservedStatistic(
        statistic.name, statistic.claim, statistic.supports, statistic.threshold, columns[0], tallies[0],
        tallies[0].interval, median_interval(columns[0]), beside, against, outcome, reason,
    )  # fmt: skip


def _tally(statistic: Statistic, values: np.ndarray) -> Tally:
    telling = np.isfinite(values)
    supporting = int(np.sum(statistic.supported(values[telling])))
    return Tally(supporting, int(telling.sum()) - supporting, len(values))
