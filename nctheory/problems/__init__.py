"""The problems room says what is minimised; nothing in it knows a theorem or a solver.

A `Problem` is an objective over a pytree of parameters, with its random starts, its units and its symmetry. `DeepLinear` is
the linear chain, whose free features make it the unconstrained-feature model, with any `Loss` on its logits; others are the
layer-peeled model, margins and the cheapest factorisations of a matrix. Every real hyperparameter is an array leaf, and every
shape or kind is static, so that problems that differ in numbers only are a `Family` with one compiled program. The continuous
symmetry is known exactly: `gauge_tangents` spans its orbit, and `gauge_penalty` is a form that is positive along the orbit.
Users write problems and losses of their own by subclassing `Problem` and `Loss`.
"""

from nctheory.problems._balanced import BalancedStarts, balanced_chain
from nctheory.problems._base import (
    NoCertificate,
    Params,
    Problem,
    check_points,
    ravel,
    rounding,
    scales_of,
    shape_of,
    size,
    template,
    unravel,
    value_rounding,
)
from nctheory.problems._chain import DeepLinear
from nctheory.problems._chain_factorisation import MinimalChainFactorisation, minimal_chain_factorisation
from nctheory.problems._class_means import class_mean_chain
from nctheory.problems._constructors import (
    deep_linear,
    lift_to_samples,
    reduce_to_class_means,
    unconstrained_features,
)
from nctheory.problems._factorisation import MinimalFactorisation, minimal_factorisation
from nctheory.problems._family import Family, as_family, singleton, without_counts
from nctheory.problems._focal import Focal, focal
from nctheory.problems._gauge import (
    RANK_DOUBT,
    RANK_TOLERANCE,
    ChainParams,
    chain_gauge_penalty,
    internal_spaces,
    random_gauge,
    segment_ranks,
    skew_basis,
    undecayed,
)
from nctheory.problems._layer_peeled import LayerPeeled, layer_peeled
from nctheory.problems._losses import CrossEntropy, Loss, MeanSquaredError, as_loss, is_loss, label_smoothing, mse
from nctheory.problems._margin import support_vector_features, vector_scaling
from nctheory.problems._margin_losses import MarginPenalty, VectorScaling
from nctheory.problems._moments import MomentChain, expand_moments, moment_form
from nctheory.problems._own_loss import check_loss
from nctheory.problems._pick_all import PickAllLabel, multi_label_features, pick_all_label, tag_indicators
from nctheory.problems._problem_sum import ProblemSum, problem_sum
from nctheory.problems._scales import Scales, nearest_scale
from nctheory.problems._starts import Starts

__all__ = [
    "RANK_DOUBT",
    "RANK_TOLERANCE",
    "BalancedStarts",
    "ChainParams",
    "CrossEntropy",
    "DeepLinear",
    "Family",
    "Focal",
    "LayerPeeled",
    "Loss",
    "MarginPenalty",
    "MeanSquaredError",
    "MinimalChainFactorisation",
    "MinimalFactorisation",
    "MomentChain",
    "NoCertificate",
    "Params",
    "PickAllLabel",
    "Problem",
    "ProblemSum",
    "Scales",
    "Starts",
    "VectorScaling",
    "as_family",
    "as_loss",
    "balanced_chain",
    "chain_gauge_penalty",
    "check_loss",
    "check_points",
    "class_mean_chain",
    "deep_linear",
    "expand_moments",
    "focal",
    "internal_spaces",
    "is_loss",
    "label_smoothing",
    "layer_peeled",
    "lift_to_samples",
    "minimal_chain_factorisation",
    "minimal_factorisation",
    "moment_form",
    "mse",
    "multi_label_features",
    "nearest_scale",
    "pick_all_label",
    "problem_sum",
    "random_gauge",
    "ravel",
    "reduce_to_class_means",
    "rounding",
    "scales_of",
    "segment_ranks",
    "shape_of",
    "singleton",
    "size",
    "skew_basis",
    "support_vector_features",
    "tag_indicators",
    "template",
    "unconstrained_features",
    "undecayed",
    "unravel",
    "value_rounding",
    "vector_scaling",
    "without_counts",
]
