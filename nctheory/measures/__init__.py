"""NC1-NC4 and the margin: batched, differentiable, defined at exact collapse and at zero, usable on any features."""

from nctheory.measures._collapse import (
    class_means,
    distance_to_frame,
    distance_to_simplex_etf,
    margin,
    nearest_centre_agreement,
    self_duality_distance,
    within_class_variability,
)
from nctheory.measures._metrics import NCMetrics, nc_metrics
from nctheory.measures._moments import Moments
from nctheory.measures._read_out import ReadOut
from nctheory.measures._regression import principal_subspace_error, regression_gram_distance, weight_subspace_error

__all__ = [
    "Moments",
    "NCMetrics",
    "ReadOut",
    "class_means",
    "distance_to_frame",
    "distance_to_simplex_etf",
    "margin",
    "nc_metrics",
    "nearest_centre_agreement",
    "principal_subspace_error",
    "regression_gram_distance",
    "self_duality_distance",
    "weight_subspace_error",
    "within_class_variability",
]
