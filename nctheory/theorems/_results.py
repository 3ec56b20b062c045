"""What a verification found, part by part: claims, controls, instances, the worst case."""

import dataclasses
import math
from typing import Literal

from nctheory.engine import shown

ControlStatus = Literal["refuted", "not refuted", "not run"]


@shown()
@dataclasses.dataclass(frozen=True)
class WorstCase:
    """The seed with the largest residual relative to its tolerance, over all claims and instances."""

    claim: str
    instance: int
    seed: int
    residual: float
    tolerance: float
    tolerance_ratio: float
    """Residual over tolerance: up to 1 supports, above 1 refutes."""
    parameters: dict[str, float | int | str]
    command: str
    """The command that reproduces this case alone."""


@shown()
@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """One claim over all instances."""

    name: str
    statement: str
    kind: str
    about: str
    """The points of which the claim speaks, in words."""
    evidence: str
    """The weakest evidence over the instances: "sampled", "certified" or "proved"."""
    why: str | None
    """Why the evidence is no stronger."""
    instances: int
    """Instances on which the claim was decided."""
    checked: int
    """Seeds on which it was checked."""
    certified_instances: int
    certified_seeds: int
    """Seeds that are certified, or better, as to this very claim."""
    violations: int
    tolerance_ratio: float
    """Largest residual over tolerance."""
    largest_tolerance: float
    asked_resolution: float
    """Relative error that the claim says it must be able to see; of an inequality, how far its bound may be tightened."""
    because: str
    """Why that is coarser than 1e-6."""
    resolution: float
    """Relative error in the prediction that this run would have caught, on its worst instance; NaN of an inequality."""
    slack: float
    """The least relative distance of any seed from the bound of an inequality; NaN of other claims."""
    moved: str
    """The wrong version of the claim's own kind."""
    moved_refuted: int
    """Instances on which that was refuted."""
    measured: bool
    """Whether some residual differs from 0 in the last bit at least: where none does, nothing was measured."""
    recheck: str
    """What its violations came to in extended precision; empty where there were none."""

    @property
    def seen(self) -> bool:
        """Whether the run could see the error that the claim says it must; of an inequality, its bound is met somewhere."""
        if self.instances == 0:
            return False
        enough = self.moved_refuted > 0 if not math.isnan(self.slack) else self.moved_refuted == self.instances
        return enough and not self.resolution > self.asked_resolution


@shown()
@dataclasses.dataclass(frozen=True)
class ControlResult:
    """One wrong version of the theorem."""

    name: str
    wrong: str
    claims: tuple[str, ...]
    """Claims that refuted it."""
    status: ControlStatus
    applicable: int
    """Instances to which the control applies."""
    refuted_on: int
    """Instances on which it was refuted."""
    tolerance_ratio: float
    """Largest residual over tolerance: how far the check is from letting it pass."""

    @property
    def refuted(self) -> bool:
        """Whether it was refuted somewhere."""
        return self.status == "refuted"


@shown()
@dataclasses.dataclass(frozen=True)
class ReachedValue:
    """One value at which converged seeds of an instance ended."""

    value: float
    seeds: int
    minimum: bool
    """Whether it is the global minimum, by certificate or, without one, as the best value found."""
    smallest_curvature: float
    """Smallest Hessian eigenvalue off the gauge there; NaN where it was not computed."""


@shown()
@dataclasses.dataclass(frozen=True)
class LocatedThreshold:
    """The bracket in which a threshold was located, and where it was predicted."""

    claim: str
    low: float
    high: float
    """The upper end of the bracket; not finite where the threshold was not located."""
    predicted: float
    reason: str | None
    """Why the bracket is no narrower, or None."""


@shown()
@dataclasses.dataclass(frozen=True)
class InstanceResult:
    """One instance: what was solved and where the seeds ended."""

    index: int
    parameters: dict[str, float | int | str]
    seeds: int
    statuses: dict[str, int]
    certified: int
    """Seeds with a certificate that they are at the global minimum."""
    supporting: int
    unique: bool
    """Whether the minimiser is certified to be the only one, up to the symmetry."""
    largest_gap: float
    """Largest relative duality gap of a certified seed, beyond rounding."""
    smallest_curvature: float
    """Smallest Hessian eigenvalue off the gauge at an end state."""
    index_off_gauge: int
    """Number of negative Hessian eigenvalues there."""
    nullity_off_gauge: int
    gauge_dimension: int
    tolerance_ratio: float
    certificate_note: str | None
    drift: float
    """The largest relative drift of what the flow conserves, over paths and times; NaN where nothing is known."""
    dissipation: float
    """The largest relative error of the balance of energy along paths of a flow; NaN of anything else."""
    thresholds: tuple[LocatedThreshold, ...]
    """Thresholds that were sought at this instance."""
    reached: tuple[ReachedValue, ...]


__all__ = ["ClaimResult", "ControlResult", "InstanceResult", "LocatedThreshold", "ReachedValue", "WorstCase"]
