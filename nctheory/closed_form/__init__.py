"""What the theorems predict: geometries, scales, thresholds, values, exact paths.

A theorem about minima is one function that takes a problem and returns a `Minimum`: value, logits, Gram matrices and spectra
of the minimiser, which do not see the gauge. It first checks its hypotheses by `require`, and raises `NoClosedForm`, naming
the one that fails; `global_minimum` tries the registered functions from the most special to the most general one. Where the
equation of a minimum has no explicit root it is bracketed and bisected, with the derivatives that the root has (`bisect`),
so that predictions can be differentiated and vmapped over the hyperparameters. From the product of the factors everything else
follows, because the factors of a minimiser are balanced (`minimum_from_product`). Lists of critical points and trajectories
are functions of their own.
"""

from nctheory.closed_form._critical_points import CriticalValue, critical_points
from nctheory.closed_form._data_chain import DataCriticalValue, data_critical_values, pivot_blocks
from nctheory.closed_form._deep_ce import Structure, deep_collapse, low_rank
from nctheory.closed_form._deep_mse import (
    deep_mse_minimum,
    imbalanced_deep_mse_minimum,
    largest_root,
    onset,
    relative_cost,
    spinodal,
    stationary_values,
)
from nctheory.closed_form._geometry import simplex_etf, tilted_frame
from nctheory.closed_form._grouped import Grouped, grouped_cross_entropy
from nctheory.closed_form._hong_ling import count_groups, decay_strength, imbalanced_cross_entropy_minimum
from nctheory.closed_form._imbalanced_mse import imbalanced_squared_error_minimum
from nctheory.closed_form._losses import (
    focal_minimum,
    focal_onset,
    focal_scales,
    focal_strength,
    focal_value,
    label_smoothing_minimum,
)
from nctheory.closed_form._margin import (
    class_counts,
    hard_margin_logits,
    hard_margin_multipliers,
    scaled_margin_minimum,
    seli_minimum,
)
from nctheory.closed_form._minimum import Minimum, NoClosedForm, closed_form, closed_forms, global_minimum
from nctheory.closed_form._pick_all import TagScales, pick_all_minimum, tag_frame_minimum, tag_scales
from nctheory.closed_form._product import layer_singular_values, minimiser, minimum_from_product
from nctheory.closed_form._regression import regression_minimum
from nctheory.closed_form._spectral import class_target_spectrum
from nctheory.closed_form._spin_glass import (
    spin_glass_complexity,
    spin_glass_edge,
    spin_glass_index_share,
    spin_glass_layer,
)
from nctheory.closed_form._trajectories import aligned_trajectory, balanced_trajectory, mode_height
from nctheory.closed_form._unconstrained import (
    collapse_strength,
    cross_entropy_minimum,
    frame_minimum,
    soft_value,
    squared_error_bias_minimum,
    squared_error_minimum,
)

__all__ = [
    "CriticalValue",
    "DataCriticalValue",
    "Grouped",
    "Minimum",
    "NoClosedForm",
    "Structure",
    "TagScales",
    "aligned_trajectory",
    "balanced_trajectory",
    "class_counts",
    "class_target_spectrum",
    "closed_form",
    "closed_forms",
    "collapse_strength",
    "count_groups",
    "critical_points",
    "cross_entropy_minimum",
    "data_critical_values",
    "decay_strength",
    "deep_collapse",
    "deep_mse_minimum",
    "focal_minimum",
    "focal_onset",
    "focal_scales",
    "focal_strength",
    "focal_value",
    "frame_minimum",
    "global_minimum",
    "grouped_cross_entropy",
    "hard_margin_logits",
    "hard_margin_multipliers",
    "imbalanced_cross_entropy_minimum",
    "imbalanced_deep_mse_minimum",
    "imbalanced_squared_error_minimum",
    "label_smoothing_minimum",
    "largest_root",
    "layer_singular_values",
    "low_rank",
    "minimiser",
    "minimum_from_product",
    "mode_height",
    "onset",
    "pick_all_minimum",
    "pivot_blocks",
    "regression_minimum",
    "relative_cost",
    "scaled_margin_minimum",
    "seli_minimum",
    "simplex_etf",
    "soft_value",
    "spin_glass_complexity",
    "spin_glass_edge",
    "spin_glass_index_share",
    "spin_glass_layer",
    "spinodal",
    "squared_error_bias_minimum",
    "squared_error_minimum",
    "stationary_values",
    "tag_frame_minimum",
    "tag_scales",
    "tilted_frame",
]
