"""The work of a sweep in tiles: a block of cells of one shape times a block of seeds, computed by one call."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates import certify_many
from nctheory.engine import Array, float64, in_few_lengths, map_in_blocks, release_programs
from nctheory.flow import solve_many
from nctheory.problems import Family, Params, Problem, as_family
from nctheory.sweeps._programs import Measure

RESULTS = ("value", "lower_bound", "gap_rounding", "grad_norm", "status", "steps")
"""What every tile holds beside the measures, cells x seeds."""
MISSING = -1
"""The status of a seed whose tile was not computed."""


class Tile(NamedTuple):
    """Cells of one shape and the seeds to run in each."""

    cells: tuple[str, ...]
    """Fingerprints of the cells, which name them in the store."""
    problems: tuple[Problem, ...]
    seeds: tuple[int, ...]

    def packed(self) -> "Tile":
        """The same with arrays of NumPy, to be sent."""
        return self._replace(problems=jax.tree.map(np.asarray, self.problems))


def fingerprint(problem: Problem, program: str) -> str:
    """A digest of a problem's numbers and of what is computed with them (`program_digest`), the same in every process."""
    digest = hashlib.sha256(f"{type(problem).__module__}.{type(problem).__qualname__} {program}".encode())
    for leaf in jax.tree.leaves(problem):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


@partial(jax.jit, static_argnames="measures")
def _measured(
    family: Family, items: tuple[Array, Params], measures: tuple[tuple[str, Measure], ...]
) -> dict[str, Array]:
    # One program serves all cells of a family: an item is the context of its cell and one end state.
    def one(item: tuple[Array, Params]) -> dict[str, Array]:
        context, params = item
        problem = family.at(context)
        return {name: jnp.asarray(measure(problem, params), jnp.float64) for name, measure in measures}

    return map_in_blocks(one, items)


@float64
def compute_tile(tile: Tile, key: int, measures: Mapping[str, Measure], options: Mapping[str, Any]) -> dict[str, Any]:
    """Solve, certify and measure one tile: arrays cells x seeds by name."""
    release_programs()  # those of other shapes may be many
    members = tile.problems
    # Solving and certifying are each one call for all members of the tile, cells x seeds.
    ensemble = solve_many(members, list(tile.seeds), key, **options)
    shape = ensemble.value.shape
    bound = certify_many(members, ensemble.params)
    found = {
        "value": ensemble.value,
        "lower_bound": np.where(bound.valid, bound.lower_bound, -np.inf),
        "gap_rounding": bound.gap_rounding,
        "grad_norm": ensemble.grad_norm,
        "status": ensemble.status,
        "steps": ensemble.steps,
    }
    # The measures are evaluated at all end states of the tile by one program, cells and seeds on one axis.
    if measures:
        family, contexts = as_family(members, counts=True)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), ensemble.params)
        items = (np.repeat(contexts, shape[1], axis=0), flat)
        measured = in_few_lengths(lambda some: _measured(family, some, tuple(measures.items())), items)
        found |= {name: column.reshape(shape) for name, column in measured.items()}
    return found
