"""How a point moves: the true gradient flow, the hand-over, the polish, and the batching of seeds.

`solve` is the public verb. A seed's start depends on its key and number alone; its end carries a status.
"""

from nctheory.flow._diagnose import rows, told_apart
from nctheory.flow._from_points import solve_from
from nctheory.flow._gradient_descent import gradient_descent
from nctheory.flow._items import FlowPrecision, Method, Options, Plan
from nctheory.flow._path_types import Paths, PathStatus
from nctheory.flow._paths import COARSE, gradient_flow, starts
from nctheory.flow._program import flat_objective
from nctheory.flow._program import starts as start_vectors
from nctheory.flow._solve import as_key, as_seeds, gather_ensemble, solve, solve_many, status_of
from nctheory.flow._status import Ensemble, Status
from nctheory.flow._trajectory import FlowEnd, follow_flow

__all__ = [
    "COARSE",
    "Ensemble",
    "FlowEnd",
    "FlowPrecision",
    "Method",
    "Options",
    "PathStatus",
    "Paths",
    "Plan",
    "Status",
    "as_key",
    "as_seeds",
    "flat_objective",
    "follow_flow",
    "gather_ensemble",
    "gradient_descent",
    "gradient_flow",
    "rows",
    "solve",
    "solve_from",
    "solve_many",
    "start_vectors",
    "starts",
    "status_of",
    "told_apart",
]
