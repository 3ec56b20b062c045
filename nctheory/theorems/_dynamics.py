"""`dynamics`: the observed and predicted curves of one instance of a theorem about paths."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from nctheory.engine import float64, shown, untraced
from nctheory.flow import as_key, as_seeds
from nctheory.theorems._evidence import Trajectories
from nctheory.theorems._instance import TrajectorySpec
from nctheory.theorems._judge import hold_claims
from nctheory.theorems._registry import find_theorem
from nctheory.theorems._run import Run, VerifyOptions, instance_key
from nctheory.theorems._theorem import Theorem
from nctheory.theorems._thresholds import MIN_SUPPORT
from nctheory.theorems._verdict import Outcome, path_note
from nctheory.theorems._verify import gather_evidence, start_scale
from nctheory.theorems.claims import Claim


@shown()
class Curve(NamedTuple):
    """One claim's observable along the paths."""

    claim: Claim
    observed: np.ndarray
    """Seeds x times x components; of a claim "order" seeds x rungs."""
    predicted: np.ndarray
    """The same, or one number a seed for an order or a limit."""
    tolerance_ratio: float
    """Largest residual over tolerance; above 1 refutes."""
    known: int
    """Seeds of which the claim could be judged."""
    deviation: float
    """Largest residual over the size of the predicted curve at that time; NaN where that is 0."""


@shown()
class Dynamics(NamedTuple):
    """Paths of one instance, observed and predicted."""

    theorem: Theorem
    """The theorem about paths."""
    instance: int
    parameters: dict[str, float | int | str]
    """Those of the instance, as a reader wants to see them."""
    spec: TrajectorySpec
    """How the paths were followed."""
    curves: tuple[Curve, ...]
    """One for each claim."""
    seeds: int
    sound: int
    """Seeds that were followed to the end and keep what the flow conserves."""
    note: str
    """What the integrator was found to do."""

    @property
    def outcome(self) -> Outcome:
        """Whether every curve lies within its tolerance of the prediction, for every seed; of a share `MIN_SUPPORT` of
        the seeds every claim must have something to say."""
        if any(curve.tolerance_ratio > 1.0 for curve in self.curves):
            return "refuted"
        known = min(curve.known for curve in self.curves)
        return "holds" if self.sound == self.seeds and known >= MIN_SUPPORT * self.seeds else "inconclusive"


@untraced()
@float64
def dynamics(
    theorem: str | Theorem,
    instance: int = 0,
    seeds: int | Sequence[int] | np.ndarray | None = None,
    key: int = 0,
    *,
    progress: Callable[[int], None] | None = None,
) -> Dynamics:
    """Follow the paths of one instance of a theorem about paths, and set what is observed beside what is predicted.

    Raises ValueError for an unknown theorem, one that is not about paths, and an instance out of range.

    >>> import nctheory as nct
    >>> found = nct.dynamics("saxe-2layer", seeds=4)
    >>> found.outcome, found.curves[0].observed.shape, bool(found.curves[0].deviation < 1e-8)
    ('holds', (4, 30, 3), True)
    """
    chosen = theorem if isinstance(theorem, Theorem) else find_theorem(theorem)
    if chosen.method.name != "integrate":
        raise ValueError(f"theorem: {chosen.id!r} is not about paths; expected one with the method Integrate()")
    # Key and options are those that `verify` uses, so that the paths are the same.
    drawn = chosen.draw(jax.random.fold_in(as_key(key), 0))
    if not 0 <= instance < len(drawn):
        raise ValueError(f"instance: expected 0 to {len(drawn) - 1} for {chosen.id}, got {instance}")
    one, numbers = drawn[instance], as_seeds(chosen.seeds if seeds is None else seeds)
    options = VerifyOptions().for_work(True, [one.problem], len(numbers))
    run = Run(instance_key(as_key(key), instance), numbers, options, progress=progress, scale=start_scale(chosen, one))
    evidence = gather_evidence(chosen, one, run)
    assert isinstance(evidence, Trajectories)
    prediction = evidence.predicted_by(chosen.predict)
    checks = hold_claims(chosen.claims, evidence, prediction)
    curves = []
    for claim in chosen.claims:
        observed, predicted = evidence.observed[claim], claim.prediction(one.problem, prediction)
        deviation = np.nan
        if claim.kind == "trajectory":
            # The deviation is the largest |observed - predicted|/|predicted|, over sound paths and times.
            predicted = np.broadcast_to(predicted, observed.shape)
            size = np.linalg.norm(predicted.reshape(*observed.shape[:2], -1), axis=2)
            away = np.linalg.norm((observed - predicted).reshape(*observed.shape[:2], -1), axis=2)
            ratios = np.where(size > 0, away / np.where(size > 0, size, 1.0), np.nan)[evidence.sound]
            deviation = float(np.nanmax(ratios)) if np.any(~np.isnan(ratios)) else np.nan
        check = checks[claim.name]
        known = check.seeds.size if check.decided else 0
        curves.append(Curve(claim, observed, predicted, check.tolerance_ratio, known, deviation))
    return Dynamics(
        chosen, instance, dict(one.parameters), evidence.spec, tuple(curves), len(numbers), int(evidence.sound.sum()),
        path_note([evidence.drift], [evidence.dissipation]),
    )  # fmt: skip


__all__ = ["Curve", "Dynamics", "dynamics"]
