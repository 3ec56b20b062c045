"""Contradictions inside the engine: never a verdict on a theorem."""

import numpy as np

from nctheory.certificates import Bound, certify
from nctheory.flow import Ensemble
from nctheory.problems import Params, Problem


class EngineError(RuntimeError):
    """The engine contradicts itself: a certificate that is not a number, or a lower bound above an attained value."""


def contradiction(problem: Problem, ensemble: Ensemble, bound: Bound, rounding: np.ndarray, begun: Params) -> None:
    """Raise `EngineError` where a certificate is wrong whatever the theorem says.

    A lower bound from any point whatever is below the value at any other: bounds at end states and at starts are held against
    the least value found, to the rounding of that value and of the bound.
    """
    finite = np.isfinite(ensemble.value)
    if not np.any(finite) or not np.any(bound.valid | np.isnan(bound.lower_bound)):
        return
    # The least value found is known to its own rounding and to that of the bound, whichever is larger.
    at = int(np.argmin(np.where(finite, ensemble.value, np.inf)))
    least, noise = float(ensemble.value[at]), float(rounding[at])
    if bound.rounding is not None:
        noise = max(noise, float(np.nan_to_num(bound.rounding[at])))
    also = certify(problem, begun)
    for where, lower in (("an end state", bound.lower_bound), ("a start", also.lower_bound)):
        if np.any(np.isnan(lower)):
            raise EngineError(f"the certificate at {where} is not a number")
        # The largest lower bound of all seeds is held against it.
        worst = int(np.argmax(lower))
        if lower[worst] > least + noise:
            raise EngineError(
                f"the lower bound {lower[worst]:.17g} from {where} (seed {ensemble.seeds[worst]}) lies above the value "
                f"{least:.17g} attained by seed {ensemble.seeds[at]}, by more than rounding ({noise:.1e})"
                f"{f'; the bound rests on this: {bound.assumes}' if bound.assumes is not None else ''}"
            )


__all__ = ["EngineError", "contradiction"]
