"""The problems room says what is minimised; nothing in it knows a theorem or a solver.

A `Problem` is an objective over a pytree of parameters, with its random starts, its units and its symmetry. `DeepLinear` is
the linear chain, whose free features make it the unconstrained-feature model, with any `Loss` on its logits; others are the
layer-peeled model, features on spheres or before a given classifier, unit vectors under an energy of their inner products,
margins and the cheapest factorisations of a matrix. Every real hyperparameter is an array leaf, and every shape or kind is
static, so that problems that differ in numbers only are a `Family` with one compiled program. The continuous
symmetry is known exactly: `gauge_tangents` spans its orbit, and `gauge_penalty` is a form that is positive along the orbit.
Users write problems and losses of their own by subclassing `Problem` and `Loss`.
"""

from nctheory.problems._activations import ACTIVATIONS, HOMOGENEOUS, Activation, activation_of, check_activation
from nctheory.problems._balanced import BalancedStarts, balanced_chain
from nctheory.problems._base import (
    NoCertificate,
    Params,
    Problem,
    expect_problem,
    keeps_objective,
    ravel,
    rounding,
    scales_of,
    shape_of,
    size,
    template,
    unravel,
)
from nctheory.problems._branches import (
    Branches,
    OnBranches,
    branches_at,
    hessian_on,
    kink_entries,
    kink_places,
    slope_derivatives,
    slopes_nearby,
)
from nctheory.problems._chain import DeepLinear, weighted_as_decayed
from nctheory.problems._chain_factorisation import MinimalChainFactorisation, minimal_chain_factorisation
from nctheory.problems._class_means import class_mean_chain
from nctheory.problems._constructors import (
    deep_linear,
    lift_to_samples,
    reduce_to_class_means,
    unconstrained_features,
)
from nctheory.problems._energies import (
    Energy,
    PairedSigmoid,
    PairEnergy,
    SupervisedContrastive,
    TiedCrossEntropy,
    exponential_energy,
    paired_sigmoid,
    supervised_contrastive,
    tied_cross_entropy,
)
from nctheory.problems._factorisation import MinimalFactorisation, minimal_factorisation
from nctheory.problems._family import Family, as_family, singleton, without_counts
from nctheory.problems._fixed_classifier import FixedClassifier, fixed_classifier
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
from nctheory.problems._nonlinear import DeepNonlinear, deep_nonlinear
from nctheory.problems._own_loss import check_loss
from nctheory.problems._pick_all import PickAllLabel, multi_label_features, pick_all_label, tag_indicators
from nctheory.problems._points import check_points, read_point, read_points, value_rounding
from nctheory.problems._problem_sum import ProblemSum, problem_sum
from nctheory.problems._quadratic import Quadratic, quadratic
from nctheory.problems._rounded import RoundedKinks, kinks_of, rounded, units_of_kinks
from nctheory.problems._scales import Scales, nearest_scale
from nctheory.problems._spherical_features import SphericalFeatures, spherical_features
from nctheory.problems._spin_glass import SphericalSpinGlass, spin_glass, symmetric_part
from nctheory.problems._starts import Starts, normal_blocks
from nctheory.problems._unit_vectors import UnitVectors, unit_vectors

__all__ = [
    "ACTIVATIONS",
    "HOMOGENEOUS",
    "RANK_DOUBT",
    "RANK_TOLERANCE",
    "Activation",
    "BalancedStarts",
    "Branches",
    "ChainParams",
    "CrossEntropy",
    "DeepLinear",
    "DeepNonlinear",
    "Energy",
    "Family",
    "FixedClassifier",
    "Focal",
    "LayerPeeled",
    "Loss",
    "MarginPenalty",
    "MeanSquaredError",
    "MinimalChainFactorisation",
    "MinimalFactorisation",
    "MomentChain",
    "NoCertificate",
    "OnBranches",
    "PairEnergy",
    "PairedSigmoid",
    "Params",
    "PickAllLabel",
    "Problem",
    "ProblemSum",
    "Quadratic",
    "RoundedKinks",
    "Scales",
    "SphericalFeatures",
    "SphericalSpinGlass",
    "Starts",
    "SupervisedContrastive",
    "TiedCrossEntropy",
    "UnitVectors",
    "VectorScaling",
    "activation_of",
    "as_family",
    "as_loss",
    "balanced_chain",
    "branches_at",
    "chain_gauge_penalty",
    "check_activation",
    "check_loss",
    "check_points",
    "class_mean_chain",
    "deep_linear",
    "deep_nonlinear",
    "expand_moments",
    "expect_problem",
    "exponential_energy",
    "fixed_classifier",
    "focal",
    "hessian_on",
    "internal_spaces",
    "is_loss",
    "keeps_objective",
    "kink_entries",
    "kink_places",
    "kinks_of",
    "label_smoothing",
    "layer_peeled",
    "lift_to_samples",
    "minimal_chain_factorisation",
    "minimal_factorisation",
    "moment_form",
    "mse",
    "multi_label_features",
    "nearest_scale",
    "normal_blocks",
    "paired_sigmoid",
    "pick_all_label",
    "problem_sum",
    "quadratic",
    "random_gauge",
    "ravel",
    "read_point",
    "read_points",
    "reduce_to_class_means",
    "rounded",
    "rounding",
    "scales_of",
    "segment_ranks",
    "shape_of",
    "singleton",
    "size",
    "skew_basis",
    "slope_derivatives",
    "slopes_nearby",
    "spherical_features",
    "spin_glass",
    "supervised_contrastive",
    "support_vector_features",
    "symmetric_part",
    "tag_indicators",
    "template",
    "tied_cross_entropy",
    "unconstrained_features",
    "undecayed",
    "unit_vectors",
    "units_of_kinks",
    "unravel",
    "value_rounding",
    "vector_scaling",
    "weighted_as_decayed",
    "without_counts",
]
