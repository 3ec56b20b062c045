"""Violations evaluated anew in extended precision, before anything is called refuted."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nctheory.engine import NotExtended
from nctheory.theorems._evidence import Evidence
from nctheory.theorems._thresholds import MAX_RECHECKS
from nctheory.theorems.claims import Check, Claim


def rechecked(
    claim: Claim, check: Check, evidence: Evidence, predict: Callable[..., Any], instance: int
) -> tuple[Check, str]:
    """The check with violations withdrawn that were rounding in float64, and what was found, in words.

    A seed's violation stands where its residual, with 50 digits, still exceeds the tolerance, with the gradient of as many
    digits, of which the part for rounding in float64 is then kept too: what is left cannot be rounding.
    """
    excess = np.where(check.violated, check.residual / np.maximum(check.tolerance, np.finfo(float).tiny), 0.0)
    worst = np.argsort(-excess, kind="stable")[: min(MAX_RECHECKS, int(np.sum(check.violated)))]
    # One violation that stands is enough; those that cannot be evaluated with many digits stand as they are.
    vanished = []
    for at in worst:
        seed = int(check.seeds[at])
        try:
            residual = claim.recheck(evidence, seed, predict)
            tolerance = (
                claim.recheck_tolerance(evidence, seed, float(check.tolerance[at])) if residual is not None else 0.0
            )
        except NotExtended as error:
            return check, f"not evaluated in extended precision: {error}"
        if residual is None:
            return check, "of a kind that is not evaluated in extended precision"
        if residual > tolerance:
            told = claim.told(evidence, seed, predict)
            return check, (
                f"confirmed with 50 digits at instance {instance}, seed {seed}: {told}residual {residual:.3g}"
            )
        vanished.append(seed)
    return check.without(check.seeds[check.violated]), f"{int(np.sum(check.violated))} violations vanish with 50 digits"


__all__ = ["rechecked"]
