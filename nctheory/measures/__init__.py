"""NC1-NC4 and the margin: batched, differentiable, defined at exact collapse and at zero, usable on any features.

Single measures are functions of features, labels and classifiers with any leading axes, in JAX where they are traced and
otherwise in float64, whatever library the arrays come from. `nc_metrics` gives all of them at once for the features of one
network. It reads the features in two passes: `Moments` gathers counts, means and scatter, batch by batch and without
cancellation, and `ReadOut` what the classifier and the nearest mean decide. Geometries are held against a target: a simplex
ETF, an orthogonal frame, a Gram matrix, or the minimiser that a theorem predicts. Every measure has a value at exact collapse
and at zero features, and a finite gradient where it has one at all.
"""

from nctheory.measures._collapse import (
    class_means,
    distance_to_frame,
    distance_to_simplex_etf,
    margin,
    nearest_centre_agreement,
    self_duality_distance,
    within_class_variability,
)
from nctheory.measures._inputs import as_numpy, read_head, read_labels
from nctheory.measures._metrics import NCMetrics, nc_metrics
from nctheory.measures._moments import Moments
from nctheory.measures._read_out import ReadOut
from nctheory.measures._regression import principal_subspace_error, regression_gram_distance, weight_subspace_error

__all__ = [
    "Moments",
    "NCMetrics",
    "ReadOut",
    "as_numpy",
    "class_means",
    "distance_to_frame",
    "distance_to_simplex_etf",
    "margin",
    "nc_metrics",
    "nearest_centre_agreement",
    "principal_subspace_error",
    "read_head",
    "read_labels",
    "regression_gram_distance",
    "self_duality_distance",
    "weight_subspace_error",
    "within_class_variability",
]
