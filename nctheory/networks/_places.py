"""Where seeds are trained: in this process, or on the workers of a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Failure, described, float64, in_few_lengths
from nctheory.networks._loop import Plan, Seen, State, advance, look, seeds_at_a_time
from nctheory.networks._network import Network
from nctheory.networks._optimisers import rule_of
from nctheory.problems import Params
from nctheory.sweeps import workers_of


class PlanNames(NamedTuple):
    """A `Plan` in names and numbers, from which every worker makes the same program."""

    optimiser: str
    rate: float
    schedule: str
    decoupled: bool
    steps: int
    batch: int | None
    key: tuple[str, np.ndarray]

    def plan(self) -> Plan:
        """The plan."""
        rule, rate = rule_of(self.optimiser, self.rate, self.schedule, self.decoupled)
        kind, data = self.key
        return Plan(rule, rate, self.steps, self.batch, jax.random.wrap_key_data(jnp.asarray(data), impl=kind))


class Piece(NamedTuple):
    """Seeds that go at a time, and the number of steps up to which they are to be trained."""

    rows: np.ndarray
    state: State
    seeds: np.ndarray
    upto: int

    def packed(self) -> "Piece":
        """The same with arrays of NumPy, to be sent."""
        return self._replace(state=jax.tree.map(np.asarray, self.state))


@float64
def train_piece(piece: Piece, network: Network, names: PlanNames) -> dict[str, Any]:
    """The state of some seeds after some steps, and what they are then."""
    placed = jax.tree.map(jnp.asarray, network)
    rows = None if names.batch is None else placed.by_rows()
    state = advance(placed, names.plan(), piece.state, piece.seeds, piece.upto, 1, rows)
    return {"state": jax.tree.map(np.asarray, state), "seen": jax.tree.map(np.asarray, seen_at(placed, state.point))}


def seen_at(network: Network, points: Params) -> Seen:
    """What networks are at these points."""
    return jax.tree.map(np.asarray, in_few_lengths(lambda some: look(network, some), points))


class Here(NamedTuple):
    """This process, with so many threads."""

    network: Network
    plan: Plan
    workers: int | None
    rows: Any

    def advance(self, state: State, seeds: np.ndarray, upto: int) -> State:
        """The state of all seeds after `upto` steps."""
        return advance(self.network, self.plan, state, seeds, upto, self.workers, self.rows)

    def reached(self, state: State) -> State:
        """Where seeds stand that were at `state` when `advance` was interrupted: there."""
        return state

    def look(self, state: State) -> Seen:
        """What all seeds are."""
        return seen_at(self.network, state.point)


class There:
    """The workers of a Dask cluster; each has the samples, and gets the states of its seeds."""

    def __init__(self, cluster: Any, network: Network, names: PlanNames) -> None:
        self._cluster, self._names = cluster, names
        self._wide = seeds_at_a_time(network)
        self._shared = cluster.share(jax.tree.map(np.asarray, network))
        self._seen: Seen | None = None
        self._parts: dict[int, tuple[np.ndarray, Any]] = {}

    def advance(self, state: State, seeds: np.ndarray, upto: int) -> State:
        """The state of all seeds after `upto` steps; Failure, naming the seeds, where a worker fails at them."""
        starts = range(0, len(seeds), self._wide)
        rows = [np.arange(first, min(first + self._wide, len(seeds))) for first in starts]
        pieces = [
            Piece(some, jax.tree.map(lambda x, i=some: np.asarray(x)[i], state), seeds[some], upto) for some in rows
        ]
        parts = self._parts = {}
        for piece, outcome in self._cluster.compute(pieces, (self._shared, self._names), train_piece):
            if isinstance(outcome, Exception):
                numbers = ", ".join(map(str, piece.seeds.tolist()))
                raise Failure(
                    f"client (--scheduler): training seeds {numbers} failed on a worker: {described(outcome)}"
                )
            parts[int(piece.rows[0])] = piece.rows, outcome
        ordered = [parts[first][1] for first in starts]
        self._seen = jax.tree.map(lambda *xs: np.concatenate(xs), *(one["seen"] for one in ordered))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *(one["state"] for one in ordered))

    def reached(self, state: State) -> State:
        """Where seeds stand that were at `state` when `advance` was interrupted: those that were finished are further."""
        leaves, structure = jax.tree.flatten(state)
        leaves = [np.array(x) for x in leaves]
        for rows, outcome in self._parts.values():
            for leaf, part in zip(leaves, jax.tree.leaves(outcome["state"]), strict=True):
                leaf[rows] = part
        return jax.tree.unflatten(structure, leaves)

    def look(self, state: State) -> Seen:
        """What all seeds were after the last steps, as their workers saw it."""
        assert self._seen is not None
        return self._seen


@contextmanager
def place_of(
    client: Any, network: Network, plan: Plan, names: PlanNames | None, workers: int | None
) -> Iterator[Here | There]:
    """The place at which seeds are trained; a cluster is left when they are."""
    if client is None or names is None:
        yield Here(network, plan, workers, None if plan.batch is None else network.by_rows())
        return
    with workers_of(client) as cluster:
        yield There(cluster, network, names)
