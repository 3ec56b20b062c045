"""The kinds of claims, one final class a file, each with its own check, evidence and wrong version.

A claim says what is observed of a point, a path or a parameter, and what the theorem predicts of it. `check` holds a
prediction against the evidence of one instance and returns, seed by seed, a residual and a tolerance that is derived from
it. `wrong` is the prediction moved by the relative size that the claim itself declares, which the same check must refute: no
tolerance can hide it. A new kind is one more file here; nothing outside this room asks of which kind a claim is.
"""

from nctheory.theorems.claims._base import LEVELS, Check, Claim, Level, Scope
from nctheory.theorems.claims._bounds import LowerBound, UpperBound
from nctheory.theorems.claims._equality import Equality
from nctheory.theorems.claims._index import Index
from nctheory.theorems.claims._limit import Limit
from nctheory.theorems.claims._member import MemberOf
from nctheory.theorems.claims._order import Order
from nctheory.theorems.claims._paths import PathClaim
from nctheory.theorems.claims._points import PointClaim
from nctheory.theorems.claims._threshold import Threshold
from nctheory.theorems.claims._trajectory import Trajectory
from nctheory.theorems.claims._value import GlobalValue

__all__ = [
    "LEVELS",
    "Check",
    "Claim",
    "Equality",
    "GlobalValue",
    "Index",
    "Level",
    "Limit",
    "LowerBound",
    "MemberOf",
    "Order",
    "PathClaim",
    "PointClaim",
    "Scope",
    "Threshold",
    "Trajectory",
    "UpperBound",
]
