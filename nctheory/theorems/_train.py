"""Points that training passes: checkpoints of gradient descent from random starts, for laws about every point."""

import dataclasses
from typing import ClassVar, final

import jax
import numpy as np

from nctheory.engine import is_finite
from nctheory.flow import gradient_descent
from nctheory.flow import starts as draw_starts
from nctheory.problems import Params, Problem
from nctheory.theorems._evidence import Checkpoints
from nctheory.theorems._instance import Instance
from nctheory.theorems._observe import measured, typical_size
from nctheory.theorems._run import Run
from nctheory.theorems.claims import Claim, Equality, LowerBound, UpperBound


@final
@dataclasses.dataclass(frozen=True)
class Train:
    """Seeds are trained by gradient descent of a step size, and looked at after given numbers of `steps`.

    It is the method for laws about every point of problems that the flow does not solve, such as networks with kinks. Claims
    are equalities and bounds of scope "any point"; no seed is said to converge, and none needs to.

    >>> Train(steps=(0, 10), rate=0.1).facts()
    'points that training passes: gradient descent of step 0.1, looked at after 0 and 10 steps; float64'
    """

    steps: tuple[int, ...] = (0, 30, 300)
    rate: float = 0.1

    few_seeds_are_light: ClassVar[bool] = True

    def __post_init__(self) -> None:
        steps = tuple(self.steps)
        whole = all(isinstance(step, int | np.integer) and not isinstance(step, bool) for step in steps)
        if not steps or not whole or steps[0] < 0 or list(steps) != sorted(set(steps)):
            raise ValueError(f"steps: expected whole numbers that increase from 0 or later, got {self.steps!r}")
        if not (is_finite(self.rate) and self.rate > 0):
            raise ValueError(f"rate: expected a positive step size, got {self.rate!r}")
        object.__setattr__(self, "steps", steps)

    @property
    def name(self) -> str:
        """The method in words."""
        return "train"

    def accepts(self, claim: Claim, theorem: str) -> None:
        """Raise ValueError for a claim that is not about any point."""
        if not isinstance(claim, Equality | LowerBound | UpperBound) or not claim.anywhere:
            raise ValueError(
                f"method: Train of theorem {theorem!r} with a claim about {claim.about}, {claim.name!r}; expected claims of "
                "scope 'any point'"
            )

    def gather(self, claims: tuple[Claim, ...], instance: Instance, run: Run) -> Checkpoints:
        """Train from every start and observe all claims at all checkpoints."""
        problem = instance.problem
        begun = draw_starts(problem, np.asarray(run.seeds), run.key, run.scale)
        paths = gradient_descent(
            problem, begun, np.asarray(self.steps), self.rate, observe=_whole_point, compare=False,
            workers=run.workers, progress=run.progress, light=run.light,
        )  # fmt: skip
        # Checkpoints of all seeds one after the other, the first of every seed before the second of any.
        points = jax.tree.map(lambda x: np.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]), paths.values)
        chosen = tuple(claim for claim in claims if isinstance(claim, Equality | LowerBound | UpperBound))
        wanted = tuple(
            dict.fromkeys(f for claim in chosen for f in (claim.observe, claim.terms, claim.size) if f is not None)
        )
        table = dict(zip(wanted, measured(problem, points, wanted), strict=True))
        return Checkpoints(
            problem=problem,
            seeds=np.asarray(run.seeds),
            steps=self.steps,
            followed=paths.followed,
            observed={claim: table[claim.observe] for claim in chosen},
            terms={claim: table[claim.terms] for claim in chosen if claim.terms is not None},
            sizes={claim: typical_size(table[claim.size or claim.observe]) for claim in chosen},
        )

    def facts(self) -> str:
        """What is done and to which precision."""
        *most, last = map(str, self.steps)
        at = f"{', '.join(most)} and {last}" if most else last
        return (
            f"points that training passes: gradient descent of step {self.rate:g}, looked at after {at} steps; float64"
        )


def _whole_point(problem: Problem, params: Params) -> Params:
    return params


__all__ = ["Train"]
