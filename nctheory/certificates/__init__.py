"""Proofs about a point that use no theorem's formula: lower bounds on the minimum, and the Hessian off the gauge.

`certify` bounds the minimum from below at any point; `hessian_report` counts negative and zero eigenvalues.
"""

from nctheory.certificates._certify import (
    GAP_LEVEL,
    Bound,
    bound_caveat,
    certify,
    certify_many,
    gap_closed,
    lower_bound,
)
from nctheory.certificates._duality import duality_bound, spectral_norm
from nctheory.certificates._hessian import DENSE_LIMIT, HessianReport, hessian_report, sensitivity
from nctheory.certificates._lowest import LowestCurvature, lowest_curvature
from nctheory.certificates._separable import scalar_minimum, separable_bound
from nctheory.certificates._uniqueness import Uniqueness, unique_minimiser

__all__ = [
    "DENSE_LIMIT",
    "GAP_LEVEL",
    "Bound",
    "HessianReport",
    "LowestCurvature",
    "Uniqueness",
    "bound_caveat",
    "certify",
    "certify_many",
    "duality_bound",
    "gap_closed",
    "hessian_report",
    "lower_bound",
    "lowest_curvature",
    "scalar_minimum",
    "sensitivity",
    "separable_bound",
    "spectral_norm",
    "unique_minimiser",
]
