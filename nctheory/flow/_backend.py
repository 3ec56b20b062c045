"""How the stages of a solve run on a platform: in what form they see points, and how many items run at a time."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, Runner, Scalar, run_lanes
from nctheory.flow._lockstep import run_lockstep
from nctheory.flow._newton import GaugePenalty
from nctheory.flow._record import Record
from nctheory.flow._vectors import ValueAndGrad
from nctheory.problems import DeepLinear, Family, Params, chain_gauge_penalty, ravel, size, template, unravel

LANE_NUMBERS = 7000
"""The parameters of all lanes together on a CPU, so that the dozen vectors of every lane stay in its cache (measured)."""
MAX_NUMBERS = 2**26
"""The same on an accelerator, where many lanes are needed to fill the device."""
TILE_NUMBERS = 2**22
"""The parameters of all seeds that go in lockstep on an accelerator (measured: wider tiles are no quicker, and for small
problems they are slower)."""


def lane_count(parameters: int, items: int, platform: str) -> int:
    """The number of seeds worked on at a time.

    >>> lane_count(196, 1024, "cpu"), lane_count(32_650, 1024, "cpu"), lane_count(196, 1024, "gpu")
    (32, 2, 1024)
    """
    most = int(np.clip(LANE_NUMBERS // parameters, 2, 32)) if platform == "cpu" else max(1, MAX_NUMBERS // parameters)
    return min(most, items)


class Backend(NamedTuple):
    """How stages run on a platform: objective and penalty on its form of points, how the flow is integrated, the runner."""

    value_and_grad: ValueAndGrad
    gauge_penalty: GaugePenalty
    unrolled: bool
    """Whether the stages of a step of the flow are written out, which pays where all items go in lockstep."""
    run: Runner


def backend_of(family: Family, items: int, platform: str) -> Backend:
    """The backend of a platform: on a CPU flat vectors in lanes that are refilled, elsewhere tuples of arrays in lockstep."""
    if platform == "cpu":
        lanes = lane_count(size(family.template), items, platform)
        run = partial(run_lanes, lanes=lanes)
        return Backend(family_objective(family), partial(gauge_penalty, family), False, run)
    wide = 1 << max(0, (TILE_NUMBERS // size(family.template)).bit_length() - 1)
    run = partial(run_lockstep, lanes=min(wide, items))
    return Backend(partial(_evaluate_arrays, family), partial(_penalty_arrays, family), True, run)


def family_objective(family: Family) -> ValueAndGrad:
    """Objective and gradient as a function of a flat vector, for the member that a context names."""
    return partial(_evaluate, family)


# These are compiled functions within the compiled program, so that each is traced once for all the places that call it.
@jax.jit
def _evaluate(family: Family, vector: Array, context: Array) -> tuple[Scalar, Array]:
    problem = family.at(context)
    value, gradient = problem.value_and_grad(unravel(problem, vector))
    return value, ravel(gradient)


@jax.jit
def gauge_penalty(family: Family, point: Array, vector: Array, context: Array) -> Array:
    """`Problem.gauge_penalty` on flat vectors, of the member that a context names."""
    problem = family.at(context)
    return ravel(problem.gauge_penalty(unravel(problem, point), unravel(problem, vector)))


def as_arrays(family: Family, vector: Array) -> tuple[Array, ...]:
    """A flat vector as the tuple of a problem's parameter arrays; leading axes are kept."""
    return tuple(jax.tree.leaves(unravel(family.template, vector)))


def from_arrays(family: Family, point: tuple[Array, ...]) -> Params:
    """The parameters that are made of these arrays."""
    return jax.tree.unflatten(jax.tree.structure(template(family.template)), point)


@jax.jit
def _evaluate_arrays(family: Family, point: tuple[Array, ...], context: Array) -> tuple[Scalar, tuple[Array, ...]]:
    value, gradient = family.at(context).value_and_grad(from_arrays(family, point))
    return value, tuple(jax.tree.leaves(gradient))


@jax.jit
def _penalty_arrays(
    family: Family, point: tuple[Array, ...], vector: tuple[Array, ...], context: Array
) -> tuple[Array, ...]:
    """`gauge_penalty` on tuples of arrays; for chains it takes the form that reads the factors least often."""
    problem, at, along = family.at(context), from_arrays(family, point), from_arrays(family, vector)
    if isinstance(problem, DeepLinear) and type(problem).gauge_penalty is DeepLinear.gauge_penalty:
        return tuple(jax.tree.leaves(chain_gauge_penalty(problem, at, along, direct=True)))
    return tuple(jax.tree.leaves(problem.gauge_penalty(at, along)))


def split_points(family: Family, records: Record) -> Record:
    """The records with their points as tuples of arrays; leading axes are kept."""
    return records._replace(point=as_arrays(family, records.point), anchor=as_arrays(family, records.anchor))


def join_points(records: Record) -> Record:
    """The records, which have a leading axis, with their points as flat vectors again."""

    def flat(point: tuple[Array, ...]) -> Array:
        return jnp.concatenate([x.reshape(x.shape[0], -1) for x in point], axis=1)

    return records._replace(point=flat(records.point), anchor=flat(records.anchor))
