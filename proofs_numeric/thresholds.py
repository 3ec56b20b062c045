"""All thresholds by which theorem files decide what counts as zero, as equal, as distinct and as found, in one place.

Each says where its value comes from: derived (from what), conventional (a choice that could have been another one of the same
size), or measured (on what). Numbers with which instances are drawn stay in the theorem files, and so do the sizes by which a
wrong version is wrong.
"""

ROUNDED = 1e-10
"""The relative deviation from a hypothesis about a start or about inputs below which it is rounding (conventional)."""
DISTINCT = 1e-9
"""The part of the largest singular value or eigenvalue, or of a critical strength, by which two of them must differ to count
as distinct, and by which one must exceed zero to count as positive (conventional: far above the rounding of a
decomposition)."""
SPECTRAL_EXCESS = 1e-6
"""The excess of a spectral norm over lambda, relative to lambda, below which it counts as lambda (conventional)."""
SAME_VALUE = 1e-7
"""The distance of two values of an objective below which they are one minimum (conventional)."""
SEARCH_OF_STRUCTURES = 128
"""The number of starts from which on the best point found stands for the minimum, where each structure that may be it is met
by one start in five or more (measured): all would miss it with probability 0.8^128 = 4e-13 (derived)."""
SEARCH_WITHOUT_TRAPS = 64
"""The same number where every local minimum is global, so that few starts would do (conventional)."""
EXPANSION_RESOLUTION = 3e-3
"""The relative error in Z_1 + Z_2/L + Z_3/L^2, L = log(1/lambda), that some instance of a path of regularisation must show
(conventional)."""
