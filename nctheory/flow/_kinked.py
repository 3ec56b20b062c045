"""Solves of problems with kinks: the flow on the rounded problem, and a polish whose rounding falls to nothing."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array, UnsupportedKinks, fast_compile, float64, in_few_lengths
from nctheory.flow._branches import refine_on_branches
from nctheory.flow._kinks import FIRST_WIDTH, polish_kinks
from nctheory.flow._program import fresh, member_scales, member_starts
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import Stage
from nctheory.problems import Family, RoundedKinks, kinks_of, units_of_kinks

KINK_TOLERANCE = 1e-5
r"""An end with kinks has converged where its gradient is below this many units. Values that differ by less than their
rounding $\rho$ are not told apart, and with a curvature c across a rounded kink they hide gradients up to $\sqrt{c\rho}$:
unconstrained features end at $10^{-9}$, networks on data, with many slopes strictly between, at $10^{-6}$ (measured)."""
COARSE_TOLERANCE = 3e-3
"""The flow on the rounded problem ends where its gradient is below this many units: it has chosen its basin by then."""
COMPILED_IN_FULL = 2000
"""From so many parameters of all records on the polish is compiled in full whatever the environment says (measured: 32 seeds
of 70 parameters take 13 s of a processor then and 77 s else, and compiling takes some 10 s more)."""
LEFT_ALONE = (Stage.NOT_FINITE, Stage.RUNAWAY, Stage.BUDGET_SPENT)
"""Ends of the flow that are no places for a polish."""


def has_kinks(family: Family, contexts: np.ndarray) -> bool:
    """Whether any member of a family has kinks that are rounded off; kinks within loops or choices are not."""
    try:
        return any(kinks_of(family.at(one)) for one in np.unique(contexts, axis=0))
    except UnsupportedKinks:
        return False


def rounded_family(family: Family, contexts: np.ndarray) -> tuple[Family, np.ndarray]:
    """The family of the members with their kinks rounded off over the first width, and its contexts.

    A context is the width, that of the member, and the units of its kinks.
    """
    distinct, inverse = np.unique(contexts, axis=0, return_inverse=True)
    units = np.stack([np.asarray(units_of_kinks(family.at(one))) for one in distinct])[np.ravel(inverse)]
    template = RoundedKinks(np.float64(FIRST_WIDTH), family.template, units[0])
    wide = np.full((len(contexts), 1), FIRST_WIDTH)
    return Family(template, (True, *family.varying, True)), np.concatenate([wide, contexts, units], axis=1)


def polish_rounded(family: Family, records: Record, settings: Settings, width: int, threads: int) -> Record:
    """The records (NumPy arrays with a leading axis) after the polish, `width` at a time in so many threads."""
    count = len(records.stage)
    saddle = records.stage == Stage.SADDLE
    worked = ~np.isin(records.stage, LEFT_ALONE)
    # A light program takes longer to run its thousands of steps than another takes to compile.
    light = None if records.point.size >= COMPILED_IN_FULL else False
    records = records._replace(stage=np.where(worked, Stage.POLISH, records.stage).astype(np.int64))

    @float64
    def part(begin: int) -> Record:
        index = np.resize(np.arange(begin, min(begin + width, count)), width)
        some = jax.tree.map(lambda x: jnp.asarray(x[index]), records)
        # What fills up the last part is not worked on.
        live = np.arange(width) < min(width, count - begin)
        some = some._replace(stage=jnp.where(live, some.stage, Stage.STALLED))
        done = polish_kinks(family, some, settings, light=light)
        return jax.tree.map(lambda x: np.asarray(x)[: min(width, count - begin)], done)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, range(0, count, width)))
    polished = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    found = refine_on_branches(family, polished, float(settings.tolerance))
    # The flow's own saddles stay saddles: the polish does not leave them.
    stage = np.where(saddle & (found.stage == Stage.CONVERGED), Stage.SADDLE, found.stage)
    return found._replace(stage=stage)


@float64
def starting_records(
    family: Family, contexts: np.ndarray, numbers: np.ndarray, root: PRNGKeyArray, settings: Settings
) -> Record:
    """The records of seeds at their starts, as NumPy arrays."""
    points = in_few_lengths(lambda rows: member_starts(family, root, *rows, settings.scale), (numbers, contexts))
    return standing_records(family, contexts, points, settings)


@float64
def standing_records(family: Family, contexts: np.ndarray, points: np.ndarray, settings: Settings) -> Record:
    """The records of seeds that stand at given points, seeds x P, as NumPy arrays."""
    return in_few_lengths(lambda rows: _standing(family, *rows, settings), (contexts, points))


@fast_compile
def _standing(family: Family, contexts: Array, points: Array, settings: Settings) -> Record:
    scales = member_scales(family, contexts)
    each = jax.vmap(lambda point, context, scale: fresh(point, settings, Stage.POLISH, context, scale))
    return each(points, contexts, scales)
