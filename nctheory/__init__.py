"""nctheory: the theorems of neural-collapse theory as executable claims.

Build a problem, solve it from many random starts, certify where each run ended, and hold a theorem against that:

>>> import nctheory as nct
>>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.1, 0.1))
>>> ensemble = nct.solve(model, seeds=8, key=0)
>>> bound = nct.certify(model, ensemble.params)
>>> minimum = nct.global_minimum(model)
>>> bool((abs(ensemble.value - minimum.value) < 1e-12).all() and (bound.gap < 1e-9).all())
True

Importing the package changes no JAX setting; its verbs compute in float64 and return NumPy arrays.
"""

from nctheory.certificates import Bound, HessianReport, certify, hessian_report
from nctheory.closed_form import (
    Minimum,
    NoClosedForm,
    collapse_strength,
    cross_entropy_minimum,
    frame_minimum,
    global_minimum,
    simplex_etf,
    squared_error_bias_minimum,
    squared_error_minimum,
    tilted_frame,
)
from nctheory.flow import Ensemble, Status, solve
from nctheory.measures import (
    class_means,
    distance_to_frame,
    distance_to_simplex_etf,
    margin,
    nearest_centre_agreement,
    self_duality_distance,
    within_class_variability,
)
from nctheory.problems import (
    ChainParams,
    DeepLinear,
    Loss,
    MinimalFactorisation,
    NoCertificate,
    Params,
    Problem,
    deep_linear,
    expand_moments,
    label_smoothing,
    lift_to_samples,
    minimal_factorisation,
    moment_form,
    mse,
    random_gauge,
    ravel,
    reduce_to_class_means,
    unconstrained_features,
    unravel,
)
from nctheory.sweeps import Survey, survey
from nctheory.theorems import (
    Claim,
    Control,
    Effort,
    Instance,
    Source,
    Theorem,
    Verdict,
    catalogue,
    collapse_claims,
    find_theorem,
    generator,
    load_theorem_file,
    minimum_value,
    register,
    verify,
)

__all__ = [
    "Bound",
    "ChainParams",
    "Claim",
    "Control",
    "DeepLinear",
    "Effort",
    "Ensemble",
    "HessianReport",
    "Instance",
    "Loss",
    "MinimalFactorisation",
    "Minimum",
    "NoCertificate",
    "NoClosedForm",
    "Params",
    "Problem",
    "Source",
    "Status",
    "Survey",
    "Theorem",
    "Verdict",
    "catalogue",
    "certify",
    "class_means",
    "collapse_claims",
    "collapse_strength",
    "cross_entropy_minimum",
    "deep_linear",
    "distance_to_frame",
    "distance_to_simplex_etf",
    "expand_moments",
    "find_theorem",
    "frame_minimum",
    "generator",
    "global_minimum",
    "hessian_report",
    "label_smoothing",
    "lift_to_samples",
    "load_theorem_file",
    "margin",
    "minimal_factorisation",
    "minimum_value",
    "moment_form",
    "mse",
    "nearest_centre_agreement",
    "random_gauge",
    "ravel",
    "reduce_to_class_means",
    "register",
    "self_duality_distance",
    "simplex_etf",
    "solve",
    "squared_error_bias_minimum",
    "squared_error_minimum",
    "survey",
    "tilted_frame",
    "unconstrained_features",
    "unravel",
    "verify",
    "within_class_variability",
]
