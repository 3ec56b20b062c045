"""One problem within a theorem's hypotheses, what the hypotheses are, and where a theorem was published."""

import dataclasses
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from nctheory.engine import shown
from nctheory.flow import starts as draw_starts
from nctheory.problems import Params, Problem


@dataclasses.dataclass(frozen=True)
class Source:
    """The publication of a theorem. `number` is the theorem's number there, or "number unchecked".

    `note` says what of it is used, what of our statement it does not contain, and where the number was read if not there.
    """

    citation: str
    """Authors, title, place and year, as they are printed."""
    number: str
    bibtex: str
    """The BibTeX entry; empty where there is none."""
    note: str = ""

    def remark(self, note: str, number: str | None = None) -> "Source":
        """The same publication with a note, and with the number of another of its theorems where that is given."""
        return dataclasses.replace(self, note=note, number=self.number if number is None else number)


@dataclasses.dataclass(frozen=True)
class TrajectorySpec:
    """How paths are followed: the gradient flow, or gradient descent of step size `rate`, observed at `times`.

    Of a descent `times` are numbers of steps. With `initial_scales` every seed runs once for each of these multiples of its
    start. Raises ValueError for times that do not increase, or scales that do not fall.
    """

    times: tuple[float, ...]
    rate: float | None = None
    initial_scales: tuple[float, ...] = ()
    tolerance: float = 1e-11
    """The tolerance of the integrator (see `nctheory.flow`)."""

    def __post_init__(self) -> None:
        if not self.times or self.times[0] < 0 or any(b <= a for a, b in pairwise(self.times)):
            raise ValueError(f"times: expected numbers that increase from 0 or later, got {self.times}")
        if self.rate is not None and any(int(t) != t for t in self.times):
            raise ValueError(f"times: of a descent expected whole numbers of steps, got {self.times}")
        scales = self.initial_scales
        if scales and (len(scales) < 4 or any(b >= a for a, b in pairwise(scales))):
            raise ValueError(f"initial_scales: expected at least four multiples, from large to small, got {scales}")


@shown()
@dataclasses.dataclass(frozen=True)
class Instance:
    """One problem within a theorem's hypotheses, with the parameters that a reader wants to see."""

    problem: Problem
    parameters: Mapping[str, float | int | str]
    scale: float | None = None
    """Scale of the starts, where it is not the theorem's."""
    trajectory: TrajectorySpec | None = None
    """How the paths of a theorem about paths are followed."""

    def start(self, seed: int = 0) -> Params:
        """One start, as a pytree of NumPy arrays: for hypotheses that are about starts.

        It is drawn by the compiled program that draws those of a run, so that asking costs no compilation of its own.
        """
        scale = 1.0 if self.scale is None else self.scale
        drawn = draw_starts(self.problem, [seed], 0, scale)
        return jax.tree.map(lambda x: np.asarray(x)[0], drawn)


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A hypothesis in words, and a predicate of an instance that says whether it is met.

    >>> Hypothesis("K >= 2", lambda instance: instance.problem.classes >= 2).text
    'K >= 2'
    """

    text: str
    test: Callable[[Any], bool]
    """Whether an instance meets it."""

    def holds(self, instance: Instance) -> bool:
        """Whether the instance meets it."""
        return bool(self.test(instance))

    def __str__(self) -> str:
        return self.text
