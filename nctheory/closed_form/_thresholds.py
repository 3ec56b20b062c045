"""All thresholds by which a closed form decides whether it applies, and what counts as zero, as equal and as solved.

Each says where its value comes from: derived (from what), conventional (a choice that could have been another one of the same
size), or measured (on what). Those of claims and verdicts are in `nctheory/theorems/_thresholds.py`.
"""

LEAST_DECAY = 1e-307
"""A smaller decay may be subnormal, or a number made of it, which compiled programs round to zero (derived: some four times
the least normal number)."""
TIE = 1e-9
"""The relative distance up to which two singular values of the targets count as equal (conventional: far above the rounding of
a decomposition)."""
DISTINCT_EIGENVALUES = 1e-9
"""The part of the largest eigenvalue by which two eigenvalues must differ to count as distinct, and by which the smallest one
must exceed zero to count as positive (conventional, as `TIE`)."""
SINGULAR_ROUNDING = 1e-13
"""The part of the largest singular value of a product below which one is rounding. It is cut off because its F-th root in a
layer would not be small (conventional: some hundred units in the last place)."""
EMPTY_DIRECTION = 1e-13
"""The same for the eigenvalues of a Gram matrix of the targets, the squares of their singular values (conventional)."""
RANK_EXCESS = 1e-9
"""The share of the singular values of a product that may lie beyond the narrowest layer, as rounding, before the layer is too
narrow for the product (conventional)."""
ZERO_SINGULAR_VALUE, NONZERO_SINGULAR_VALUE = 20.0, 60.0
"""The multiples of what a gradient leaves open of a singular value, up to which that counts as zero and from which on it does
not; between them a rank is in doubt (conventional)."""
MAX_VIOLATION = 1e-9
"""The relative violation of a hypothesis about the start of a path, or about its inputs, that is still rounding
(conventional)."""
SAME_MULTIPLIERS = 1e-9
"""The part of the largest multiplier by which given multipliers may differ from those of the theorem (conventional)."""
NEWTON_RESIDUAL = 1e-13
"""The gradient of the grouped program, relative to the decay times the point, at which the last Newton step is taken
(conventional)."""
SADDLE_CURVATURE = 1e-10
"""The part of the largest curvature of the grouped program from which on a negative one makes a saddle (conventional)."""
ZERO_MEANS = 1e-14
"""The squared size of the factors below which the group means are zero: their logits are then rounding (conventional)."""
MAX_RELATIVE_GAP = 1e-11
"""The relative duality gap beyond which the solution of the grouped program is not handed out (conventional)."""
