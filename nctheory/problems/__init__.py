"""What is minimised: losses, the linear chain with its gauge group, and the cheapest factorisation of a matrix.

Every real hyperparameter is an array leaf; shapes and kinds are static. Nothing here knows a theorem or a solver.
"""

from nctheory.problems._base import NoCertificate, Params, Problem, ravel, size, template, unravel
from nctheory.problems._chain import DeepLinear
from nctheory.problems._constructors import (
    deep_linear,
    lift_to_samples,
    reduce_to_class_means,
    unconstrained_features,
)
from nctheory.problems._factorisation import MinimalFactorisation, minimal_factorisation
from nctheory.problems._gauge import ChainParams, internal_spaces, random_gauge
from nctheory.problems._losses import CrossEntropy, Loss, MeanSquaredError, label_smoothing, mse
from nctheory.problems._moments import MomentChain, expand_moments, moment_form

__all__ = [
    "ChainParams",
    "CrossEntropy",
    "DeepLinear",
    "Loss",
    "MeanSquaredError",
    "MinimalFactorisation",
    "MomentChain",
    "NoCertificate",
    "Params",
    "Problem",
    "deep_linear",
    "expand_moments",
    "internal_spaces",
    "label_smoothing",
    "lift_to_samples",
    "minimal_factorisation",
    "moment_form",
    "mse",
    "random_gauge",
    "ravel",
    "reduce_to_class_means",
    "size",
    "template",
    "unconstrained_features",
    "unravel",
]
