"""One run of a verification: what is fixed for all its instances, carried as one thing."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import WIDTHS as ALL_WIDTHS
from nctheory.flow import FlowPrecision
from nctheory.problems import Problem, size

LIGHT_SEEDS = 1024
"""Seeds of an instance up to which compiling takes more of a verification than running, where paths are followed or critical
points searched for (measured: the catalogue, from an empty cache and with its default seeds, took 12 minutes with light
programs and 16 with usual ones)."""
LIGHT_NUMBERS = 100_000
"""The same for solves: parameters times seeds of all instances that share a program. Measured, usual programs against light
ones: mostly above it, `ufm-ce-balanced` takes 40 s against 38 from an empty cache and 17 against 28 from a full one,
`ufm-mse-nobias` 35 against 30 from an empty one; below it, `deep-mse-linear` 79 against 70 and 26 against 51."""
WIDTHS = ALL_WIDTHS[:2]
"""Seeds of one call of the compiled solve, be they fewer: of few widths few programs are compiled (conventional)."""
FEW_SEEDS = 64
"""Seeds of a quick run, to which a usual program of a large shape (40 s of `ufm-focal`) never pays."""


class VerifyOptions(NamedTuple):
    """How hard a verification works."""

    budget: int = 200_000
    """Gradient evaluations per seed."""
    curvature_points: int = 1
    """End states at which the dense Hessian is taken, for each kind of end state of an instance."""
    fidelity_seeds: int = 16
    """Seeds that are run again with a high-accuracy flow, on one instance of each shape; 0 for none."""
    workers: int | None = None
    """Instances worked on at a time; by default one per core."""
    flow_precision: FlowPrecision = "float64"
    """Precision of the flow down to its first hand-over; everything after that is float64."""
    light: bool | None = None
    """Whether programs are compiled for few seeds (see `solve`); by default where there are few."""

    def for_work(self, few: bool, problems: Sequence[Problem], seeds: int) -> "VerifyOptions":
        """The options with `light` decided, where it is None, for problems that share a program and the seeds of each.

        `few` says that paths are followed or critical points searched for, where the number of seeds alone decides.
        """
        if self.light is not None or not problems:
            return self
        if few:
            return self._replace(light=seeds <= LIGHT_SEEDS)
        numbers = seeds * len(problems) * size(problems[0])
        return self._replace(light=seeds <= FEW_SEEDS or numbers <= LIGHT_NUMBERS)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a verification is run with; one for all instances, with keys, seeds and options of its own for each."""

    key: PRNGKeyArray
    """The key of the starts."""
    seeds: np.ndarray
    options: VerifyOptions = dataclasses.field(default_factory=VerifyOptions)
    devices: tuple[Any, ...] | None = None
    progress: Callable[[int], None] | None = None
    scale: float = 1.0
    """Scale of the starts."""
    workers: int | None = None
    """Threads of one instance's own work."""
    locate: tuple[Any, ...] = ()
    """Threshold claims to be located at this instance: each is once for each shape."""

    def change(self, **fields: Any) -> "Run":
        """The run with other fields."""
        return dataclasses.replace(self, **fields)

    @property
    def light(self) -> bool:
        """Whether programs are compiled for few seeds."""
        return bool(self.options.light)

    @property
    def width(self) -> int:
        """Seeds of one call of the compiled solve."""
        return next((width for width in WIDTHS if len(self.seeds) <= width), WIDTHS[-1])


def instance_key(root: PRNGKeyArray, index: int) -> PRNGKeyArray:
    """The key of the starts of one instance."""
    return jax.random.fold_in(jax.random.fold_in(root, 1), index)


def cores() -> int:
    """Cores of this machine."""
    return os.cpu_count() or 1


__all__ = ["Run", "VerifyOptions", "cores", "instance_key"]
