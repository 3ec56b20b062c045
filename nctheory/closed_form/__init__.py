"""What the theorems predict: geometries, scales, thresholds, values. `global_minimum` picks the theorem that applies.

A prediction is differentiable in the hyperparameters and says which hypothesis fails where it does not apply.
"""

from nctheory.closed_form._geometry import simplex_etf, tilted_frame
from nctheory.closed_form._minimum import Minimum, NoClosedForm, closed_form, global_minimum
from nctheory.closed_form._unconstrained import (
    collapse_strength,
    cross_entropy_minimum,
    frame_minimum,
    soft_value,
    squared_error_bias_minimum,
    squared_error_minimum,
)

__all__ = [
    "Minimum",
    "NoClosedForm",
    "closed_form",
    "collapse_strength",
    "cross_entropy_minimum",
    "frame_minimum",
    "global_minimum",
    "simplex_etf",
    "soft_value",
    "squared_error_bias_minimum",
    "squared_error_minimum",
    "tilted_frame",
]
