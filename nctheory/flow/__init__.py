"""The flow room moves points: along the true gradient flow, by a polish, and by other processes such as gradient descent.

`solve` is the main verb: it starts every seed at a point that depends on its key and number alone, follows the gradient flow
into a basin, and polishes it there to a critical point. Each seed carries a `Record` through the stages of `Stage`, and a loop
in one compiled program runs every stage on the records that are in it (`_program`). Between flow and polish stands the
hand-over (`_handover`), which lets a polish begin only where Newton's method would converge to a point nearby, and accepts its
end only where that is no saddle. The form of points, and how many seeds run at a time, depend on the platform (`_backend`):
vectors in lanes that are refilled on a CPU, tuples of arrays in lockstep on an accelerator. `gradient_flow` and
`gradient_descent` keep whole paths, observed at given times. An end carries a `Status`, whose message says what it means and
what can be done about it; `_diagnose` tells apart the ends that look alike.
"""

from nctheory.engine import as_key
from nctheory.flow._diagnose import diagnose, take_records
from nctheory.flow._from_points import solve_from
from nctheory.flow._gradient_descent import gradient_descent
from nctheory.flow._items import ChunkPlan, FlowPrecision, Method, Options, check_devices
from nctheory.flow._path_types import Paths, PathStatus
from nctheory.flow._paths import COARSE, gradient_flow, starts
from nctheory.flow._program import flat_objective
from nctheory.flow._program import starts as start_vectors
from nctheory.flow._solve import as_seeds, gather_ensemble, solve, solve_many, status_of
from nctheory.flow._status import Ensemble, Status
from nctheory.flow._trajectory import FlowEnd, follow_flow

__all__ = [
    "COARSE",
    "ChunkPlan",
    "Ensemble",
    "FlowEnd",
    "FlowPrecision",
    "Method",
    "Options",
    "PathStatus",
    "Paths",
    "Status",
    "as_key",
    "as_seeds",
    "check_devices",
    "diagnose",
    "flat_objective",
    "follow_flow",
    "gather_ensemble",
    "gradient_descent",
    "gradient_flow",
    "solve",
    "solve_from",
    "solve_many",
    "start_vectors",
    "starts",
    "status_of",
    "take_records",
]
