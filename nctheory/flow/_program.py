"""The compiled program of a solve: all stages for one chunk of seeds, over one or more devices."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, Scalar, fast_compile
from nctheory.flow._backend import Backend, backend_of, family_objective, join_points, split_points
from nctheory.flow._handover import newton_stage
from nctheory.flow._polish import polish_stage
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import ROUND, Stage
from nctheory.problems import Family, Problem, Scales, as_family, ravel, singleton


def start(problem: Problem, key: PRNGKeyArray, seed: Array, scale: Array) -> Array:
    """The start of one seed: a function of key and seed alone."""
    return ravel(problem.init(jax.random.fold_in(key, seed), scale))


def starts(problem: Problem, key: PRNGKeyArray, seeds: Array, scale: Array) -> Array:
    """The starts of many seeds as flat vectors, seeds x P."""
    family, contexts = as_family([problem])
    return member_starts(family, key, seeds, np.repeat(contexts, seeds.shape[0], axis=0), scale)


@fast_compile
def member_starts(family: Family, key: PRNGKeyArray, seeds: Array, contexts: Array, scale: Array) -> Array:
    """The starts of seeds of members of a family as flat vectors, seeds x P."""
    return jax.vmap(lambda seed, context: start(family.at(context), key, seed, scale))(seeds, contexts)


class Chunk(NamedTuple):
    """The seeds that are solved by one call."""

    seeds: Array
    live: Array
    """The mask of the seeds; it is False for padding."""
    context: Array
    """The member of the family that each seed belongs to, seeds x C."""
    standing: Record | None
    """The records of seeds that are under way; None for seeds at their starts."""


def flat_objective(problem: Problem) -> Callable[[Array], tuple[Scalar, Array]]:
    """Objective and gradient as a function of a flat vector."""
    objective = family_objective(singleton(problem))
    return lambda vector: objective(vector, jnp.zeros(0))


@fast_compile
def member_scales(family: Family, contexts: Array) -> Scales:
    """The characteristic scales of members of a family, by context."""
    return jax.vmap(lambda context: family.at(context).characteristic_scales(), axis_size=contexts.shape[0])(contexts)


def fresh(point: Array, settings: Settings, stage: int | Array, context: Array, scales: Scales) -> Record:
    """The record of a seed that stands at its start."""
    zero, count = jnp.zeros((), point.dtype), jnp.asarray(0)
    return Record(
        point=point,
        anchor=point,
        step=zero,
        time=zero,
        steps=count,
        value=zero,
        grad_norm=zero,
        peak=zero,
        trigger=jnp.asarray(settings.switch),
        radius=jnp.full((), jnp.inf, point.dtype),
        attempts=count,
        stage=jnp.asarray(stage),
        tolerance=settings.tolerance * scales.gradient,
        length=jnp.asarray(scales.length, point.dtype),
        context=context,
    )


def _begin(family: Family, key: PRNGKeyArray, settings: Settings, seed: Array, context: Array) -> Record:
    """The record of one seed at its random start."""
    point = start(family.at(context), key, seed, settings.scale)
    stage = jnp.where(settings.flow, Stage.FLOW, Stage.POLISH)
    return fresh(point, settings, stage, context, family.at(context).characteristic_scales())


@fast_compile
def begun(family: Family, key: PRNGKeyArray, seeds: Array, contexts: Array, settings: Settings) -> Record:
    """The records of seeds at their random starts."""
    return jax.vmap(partial(_begin, family, key, settings))(seeds, contexts)


def one_stage(backend: Backend, name: str, records: Record, live: Array, settings: Settings) -> Record:
    """What `ROUND` names so, done to the live records that stand in the stages that it serves."""
    # Here: a program that comes from the disk waits for no diffrax.
    from nctheory.flow._ode import STABILISED, flow_stage, integrator_of

    advance: dict[str, Callable[..., Record]] = {
        "flow": partial(flow_stage, integrator=integrator_of(backend.unrolled)),
        "stiff": partial(flow_stage, integrator=STABILISED),
        "newton": partial(newton_stage, gauge_penalty=backend.gauge_penalty),
        "polish": polish_stage,
    }
    waiting = jnp.isin(records.stage, jnp.asarray(dict(ROUND)[name]))
    return advance[name](
        backend.value_and_grad, records=records, active=live & waiting, settings=settings, run=backend.run
    )


def _solve_block(family: Family, key: PRNGKeyArray, chunk: Chunk, settings: Settings, platform: str) -> Record:
    """Run all stages for one block of seeds, on one device, in one program.

    It is a loop over rounds, each of which runs every stage on the records that are in it, until no live seed is at work.
    """
    seeds, live, contexts, standing = chunk
    backend = backend_of(family, seeds.shape[0], platform)

    def working(records: Record) -> Array:
        return live & (records.stage <= Stage.CONFIRM_FLOW)

    def round_(records: Record) -> Record:
        for name, _ in ROUND:
            records = one_stage(backend, name, records, live, settings)
        return records

    records = jax.vmap(partial(_begin, family, key, settings))(seeds, contexts) if standing is None else standing
    if platform == "cpu":
        return jax.lax.while_loop(lambda r: jnp.any(working(r)), round_, records)
    return join_points(jax.lax.while_loop(lambda r: jnp.any(working(r)), round_, split_points(family, records)))


def over_devices(function: Callable[..., Record], devices: tuple[Any, ...], split: tuple[bool, ...]) -> Any:
    """`function` with its arguments split over `devices` along their leading axis, or whole where `split` is False."""
    if len(devices) == 1:
        return function
    mesh = jax.make_mesh((len(devices),), ("seeds",), axis_types=(AxisType.Auto,), devices=devices)
    seeds, whole = PartitionSpec("seeds"), PartitionSpec()
    specs = tuple(seeds if one else whole for one in split)
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=seeds, check_vma=False)


@partial(fast_compile, static_argnames=("devices", "platform"))
def solve_chunk(
    family: Family,
    key: PRNGKeyArray,
    chunk: Chunk,
    settings: Settings,
    devices: tuple[Any, ...],
    platform: str | None = None,
) -> Record:
    """Bring one chunk of seeds to its end on `devices`, by the backend of their platform unless another is named."""
    block = partial(_solve_block, platform=platform or devices[0].platform)
    block = over_devices(block, devices, (False, False, True, False))
    return block(family, key, chunk, settings)
