"""The certificates room proves things about a point without any theorem's formula.

`certify` bounds the global minimum from below at every point of a batch, so that the gap to the value says how far the point
may be from it. Chains of at most two factors with a convex loss get a feasible point of the dual of the nuclear-norm program
(`_duality`), or, where the loss has no conjugate, a tangent of the loss (`_tangents`); networks of two layers on given inputs
get one of the convex program over their neurons (`_two_layers`: in the plane sector by sector, `_sectors` and `_barrier`, in
more dimensions face by face, `_arrangement`, `_faces` and `_exchange`), and two classes behind ReLUs and features that are not
negative what `_activated` says; squared error gets a bound by scalar
problems at any depth (`_separable`), unit vectors and features of fixed length one by an eigenvalue (`_elliptope`) or, for
codes, by polynomials (`_delsarte`), decayed features before a given classifier that of a strongly convex function
(`_strongly_convex`), and a loss that is not convex a bound class by class (`_profile`). That a user's loss is
convex is tested on a sample (`_convexity`). `hessian_report` counts the negative and the zero eigenvalues of the Hessian with
the symmetry's directions split off, `lowest_curvature` finds the lowest ones of problems too large for that, and
`unique_minimiser` says whether a certified minimiser is the only one up to the symmetry.
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
from nctheory.certificates._delsarte import CodeBound, delsarte_bound, problem_bound
from nctheory.certificates._duality import duality_bound, spectral_norm
from nctheory.certificates._hessian import DENSE_LIMIT, HessianReport, hessian_report, sensitivity
from nctheory.certificates._lowest import LowestCurvature, lowest_curvature
from nctheory.certificates._separable import scalar_minimum, separable_bound
from nctheory.certificates._uniqueness import Uniqueness, unique_minimiser

__all__ = [
    "DENSE_LIMIT",
    "GAP_LEVEL",
    "Bound",
    "CodeBound",
    "HessianReport",
    "LowestCurvature",
    "Uniqueness",
    "bound_caveat",
    "certify",
    "certify_many",
    "delsarte_bound",
    "duality_bound",
    "gap_closed",
    "hessian_report",
    "lower_bound",
    "lowest_curvature",
    "problem_bound",
    "scalar_minimum",
    "sensitivity",
    "separable_bound",
    "spectral_norm",
    "unique_minimiser",
]
