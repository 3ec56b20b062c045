"""All thresholds by which a claim, a seed, an instance or a boundary is decided, in one place.

Each says where its value comes from: derived (from what), conventional (a choice that could have been another one of the same
size), or measured (on what). What a tolerance is made of is derived from the evidence, point by point, and stands with the
claims; nothing here is the tolerance of an observable. Constants that only size an algorithm stay beside it, and those by
which a closed form decides whether it applies are in `nctheory/closed_form/_thresholds.py`, the room below.
"""

import numpy as np

# The claims.

DEFAULT_RESOLUTION = 1e-6
"""The relative error that a claim must be able to see, unless it says why it sees no better (conventional)."""
SAFETY = 2.0
"""The factor on first-order estimates of an error, which covers their second-order remainder as long as that is no larger than
the first order itself (conventional)."""

# The sign of a curvature, for claims of the kind `Index`.

MIN_RELATIVE_CURVATURE = 1e-6
"""A resolution of at most this part of the largest curvature is fine enough to say that a saddle is not strict: a negative
curvature that is smaller still would make it strict in name only (conventional)."""
UNCLEAR = 100.0
"""The multiple of the resolution up to which a negative curvature may be that of a critical point next to the one meant:
within a continuum of critical points some are tightened or degenerate, and their neighbours are not (measured by
`benchmarks/data_sets.py`)."""
SUSPECT_CURVATURE = 0.1
"""The part of the resolution from which on a negative curvature is no rounding error, though its sign is not certain
(measured, as `UNCLEAR`)."""

# Paths.

MAX_PATH_TOLERANCE = 0.1
"""The largest tolerance at which a path still tells something: of an order or a limit relative to the prediction, of a curve
relative to its largest size (conventional)."""
MAX_CHANGE_RATIO = 0.75
"""The largest ratio of two successive changes, between ends at which what vanishes halves, that is seen as an approach to a
limit: one half is expected to first order, and a change that stays as large is no approach (conventional)."""
MAX_GEOMETRIC_RATIO = 0.95
"""The ratio of two changes from which on a curve is not seen to approach a limit exponentially (conventional)."""
ORDER_CONFIDENCE = 1.0 - 1e-4
"""The confidence of the interval of a regressed order, seed by seed (conventional)."""
MAX_DRIFT = 1e-9
"""The relative drift of a conserved quantity beyond which a path is no evidence (conventional)."""
SAME_VALUE, SAME_END = 1e-6, 1e-2
"""Two end states are in the same basin when values and invariants agree to these relative distances. The second is coarse
because minimisers may form continuous families, along which a small error of the flow is not undone (conventional)."""

# Thresholds in a parameter, and boundaries in the plane of two.

THRESHOLD_WIDTH = 1e-4
"""The relative width to which a threshold is located (conventional)."""
MOVED_WIDTHS = 10.0
"""The number of widths by which the wrong version of a claim moves a threshold (conventional): more than one, so that the
bracket cannot hold both, and few, so that the claim is a sharp one."""
THRESHOLD_ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""The relative distance from its bracket at which a predicted threshold still counts as inside: rounding of the prediction
(conventional; a formula of some dozens of operations)."""
ORDER_LEVEL = 1e-6
"""The order parameter above which a state counts as ordered, unless a claim or a boundary says otherwise (conventional): below
what an ordered state has at a relative distance of `THRESHOLD_WIDTH` from a continuous transition of exponent 1/2 or 1."""
JUMP_LEVEL = 1e-4
"""The same for a loop of hysteresis, whose states are those of a flow that has come to rest (conventional)."""
BOUNDARY_WIDTHS = {"minimum": THRESHOLD_WIDTH, "any": 1e-2, "fraction": 1e-2, "lowest": 1e-2}
"""The relative distance within which a boundary must lie: that of thresholds where the minimum is certified, and a coarser one
where seeds are counted, whose starts are spread (conventional)."""
BOUNDARY_MOVED = {"minimum": MOVED_WIDTHS, "any": 3.0, "fraction": 3.0, "lowest": 3.0}
"""The number of such distances by which the wrong version of a boundary is off (conventional)."""
CONTROL_SHIFT = 2
"""The number of steps by which the control of a loop of hysteresis moves a predicted jump (conventional: a jump is
known to the step in which it falls, and the control goes one further than the next)."""

# Instances and verdicts.

MIN_SUPPORT = 0.95
"""The share of an instance's seeds that must support the theorem before it can hold (conventional)."""
MIN_SUPPORT_OF_CENSUS = 0.5
"""The same share for a census: the gradient norm may also fall towards infinity, where nothing is to be found. How often it
does depends on the data; what is left out shows in the values of the list that were not found (conventional)."""
MIN_SEARCH = 32
"""The number of seeds from which on the best point found may stand for the minimum: if at least one start in ten ended lower,
none of that many would be met with probability 0.9^32 = 0.034 at most (derived)."""
MAX_RECHECKS = 8
"""The number of violating seeds of a claim that are evaluated anew, the worst first: where these all vanish, the other
violations are withdrawn with them (conventional)."""
CONFIDENCE = 0.95
"""The confidence of every bound on a probability of failure (conventional)."""
