"""Networks trained from many seeds."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import float64, shown, untraced, whole_number
from nctheory.flow import as_key, as_seeds
from nctheory.flow import starts as draw_starts
from nctheory.networks._folder import TrainingFolder, identity_of
from nctheory.networks._loop import Plan, Seen, State, begin, segments
from nctheory.networks._network import Network
from nctheory.networks._optimisers import rule_of
from nctheory.networks._places import Here, PlanNames, There, place_of, seen_at
from nctheory.problems import Params

PARTS = 20
"""The number of times that training is looked at on its way, where somebody watches or a folder keeps it (conventional)."""


@shown()
class TrainedNetworks(NamedTuple):
    """Networks of one form after training, with a leading axis `seeds` wherever they differ.

    None of them is said to have converged: `grad_norm` tells how far from stationary each one is.
    """

    network: Network
    seeds: np.ndarray
    params: Params
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
    passed: dict[int, Params] | None = None
    """The parameters at the checkpoints, by number of steps; None where there were none."""

    @property
    def finite(self) -> np.ndarray:
        """The mask of the seeds whose training stayed finite; the others tell nothing."""
        return np.isfinite(self.value)

    def at(self, step: int) -> "TrainedNetworks":
        """The same networks as they were at a checkpoint.

        Raises ValueError, naming the argument, for a number of steps that is no checkpoint.
        """
        if step not in (self.passed or {}):
            known = ", ".join(map(str, self.passed or {})) or "none"
            raise ValueError(f"step: expected a checkpoint of the training ({known}), got {step!r}")
        assert self.passed is not None
        return summarise(self.network, self.seeds, self.passed[step], step)


@shown()
class Progress(NamedTuple):
    """How far a training is: what all seeds are after a number of `steps` of `last`."""

    steps: int
    last: int
    seen: Seen


@untraced()
@float64
def train(
    network: Network,
    seeds: int | Sequence[int] | np.ndarray = 8,
    key: int | PRNGKeyArray = 0,
    *,
    steps: int = 2000,
    batch: int | None = None,
    optimiser: str | Any = "adam",
    rate: float | None = None,
    schedule: str = "cooled",
    decoupled: bool = False,
    scale: float = 1.0,
    checkpoints: Sequence[int] = (),
    folder: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedNetworks:
    """Train a network from many random starts, in double precision: on all samples at every step, or on `batch` of them.

    `optimiser` is "adam", "muon" (whose matrices move by orthogonalised momentum, and other parameters by Adam) or "sgd" (with
    momentum 0.9), whose `rate` is constant until it falls to zero over the last fifth of the steps (`schedule` "cooled",
    "constant" or "cosine"), or an optax gradient transformation with a rate of its own. The decay is a part of the
    objective, and so of its gradient; with `decoupled` it acts on the parameters beside the gradient of the fit. Then a
    stationary point of the training is none of the objective, and `grad_norm`, which is that of the objective, tells nothing
    of rest. Minibatches are drawn with replacement. Seed i starts and ends at the same point whatever the other seeds are. A
    rate that falls to zero stops any network: whether it is at rest is told by `grad_norm` alone.

    The points at `checkpoints`, numbers of steps, are kept (`TrainedNetworks.at`). A `folder` keeps the states of the
    seeds, so that a training that was interrupted goes on, and several processes can train different seeds of it. `client` is
    a Dask client or the address of its scheduler, whose workers then train the seeds (extra `distributed`), each to the same
    numbers as here; they get the samples once. `progress` is called some twenty times, with what all seeds are by then.

    Raises ValueError, naming the argument, for another optimiser, steps, a batch or a rate that are not positive, checkpoints
    that are no numbers of steps, and a folder that holds another training, or is to hold one that has no identity;
    `ClusterError` where no scheduler or no worker answers, or a worker runs something else.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = train(nct.networks.network_on(mixture, (5, 5)), seeds=2, steps=300, checkpoints=(0, 100))
    >>> ends.error.tolist(), bool((ends.fit < 0.05).all()), bool((ends.at(0).fit > ends.at(100).fit).all())
    ([0.0, 0.0], True, True)
    """
    last = whole_number("steps", steps)
    if batch is not None and whole_number("batch", batch) > network.targets.shape[1]:
        raise ValueError(f"batch: expected at most the {network.targets.shape[1]} samples, got {batch}")
    if not isinstance(checkpoints, Iterable):
        raise ValueError(f"checkpoints: expected numbers of steps, got {checkpoints!r}")
    stops = tuple(whole_number("checkpoints", stop, least=0) for stop in checkpoints)
    if any(stop > last for stop in stops):
        raise ValueError(f"checkpoints: expected numbers of steps up to {last}, got {checkpoints!r}")
    rule, chosen = rule_of(optimiser, rate, schedule, decoupled)
    numbers = as_seeds(seeds)
    plan = Plan(rule, chosen, last, batch, as_key(key))
    store = None
    for name, given in (("folder", folder), ("client", client)):
        if given is not None and not isinstance(optimiser, str):
            raise ValueError(
                f"{name}: expected a named optimiser with it, for a transformation of optax has no identity"
            )
    names = None
    if isinstance(optimiser, str):
        key_data = (str(jax.random.key_impl(plan.key)), np.asarray(jax.random.key_data(plan.key)))
        names = PlanNames(optimiser, chosen, schedule, decoupled, last, batch, key_data)
    if folder is not None:
        store = TrainingFolder(folder, identity_of(network, plan, optimiser, scale) | {"checkpoints": list(stops)})
    # The samples go to the device once, not at every call.
    placed = jax.tree.map(jnp.asarray, network)
    state = begin(placed, plan, draw_starts(network, numbers, key, scale))
    with place_of(client, placed, plan, names, workers) as place:
        points, passed = _follow(place, last, state, numbers, stops, store, progress)
    return summarise(network, numbers, points, last)._replace(passed=passed or None)


def _follow(
    place: Here | There, steps: int, state: State, seeds: np.ndarray, stops: tuple[int, ...], store: TrainingFolder | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[Params, dict[int, Params]]:  # fmt: skip
    """The ends of all seeds, and the points that they passed."""
    kept: dict[int, dict[int, Params]] = {}
    if store is not None:
        state, kept = store.load(state, seeds)
    cuts = segments(steps, stops, PARTS if store is not None or progress is not None else 1)
    for cut in (0, *cuts):
        # An interrupted training is looked at from where it goes on, and one that had ended at its end.
        ahead = cut > 0 and (cut == steps or bool((state.step < cut).any()))
        if ahead:
            try:
                state = place.advance(state, seeds, cut)
            except BaseException:
                # Whatever ended the others, what seeds have reached is not lost.
                if store is not None:
                    reached = place.reached(state)
                    _pass(cut, stops, reached, seeds, kept)
                    store.save(reached, seeds, kept, done=True)
                raise
        _pass(cut, stops, state, seeds, kept)
        if store is not None and ahead:
            store.save(state, seeds, kept, done=cut == steps)
        if progress is not None and ahead:
            progress(Progress(cut, steps, place.look(state)))
    found = [[kept[int(seed)][stop] for seed in seeds] for stop in stops]
    return state.point, {
        stop: jax.tree.map(lambda *rows: np.stack(rows), *points) for stop, points in zip(stops, found, strict=True)
    }


def _pass(
    cut: int, stops: tuple[int, ...], state: State, seeds: np.ndarray, kept: dict[int, dict[int, Params]]
) -> None:
    """Keep the points of the seeds that are at a checkpoint; one that an earlier run took further has its point from there."""
    if cut in stops:
        for row in np.flatnonzero(state.step == cut).tolist():
            point = jax.tree.map(lambda x, row=row: x[row], state.point)
            kept.setdefault(int(seeds[row]), {}).setdefault(cut, point)


def summarise(network: Network, seeds: np.ndarray, params: Params, steps: int) -> TrainedNetworks:
    """The record of networks at these points."""
    points = jax.tree.map(np.asarray, params)
    seen = seen_at(network, points)
    return TrainedNetworks(network, seeds, points, seen.value, seen.fit, seen.grad_norm, seen.error, steps)
