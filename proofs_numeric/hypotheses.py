"""Hypotheses that several theorems share, as predicates of an instance."""

import numpy as np

import nctheory as nct


def _counts(instance):
    known = getattr(instance.problem, "counts", None)
    return np.asarray(known if known is not None else nct.closed_form.class_counts(instance.problem), dtype=float)


BALANCED = nct.Hypothesis("balanced classes, K >= 2", lambda i: np.ptp(_counts(i)) == 0 and len(_counts(i)) >= 2)
ANY_COUNTS = nct.Hypothesis("any class counts, K >= 2", lambda i: len(_counts(i)) >= 2 and min(_counts(i)) > 0)
POSITIVE_DECAYS = nct.Hypothesis("all decays > 0", lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)))
NO_BIAS = nct.Hypothesis("no bias", lambda i: i.problem.bias_decay is None)
FREE_BIAS = nct.Hypothesis(
    "a free bias", lambda i: i.problem.bias_decay is not None and float(i.problem.bias_decay) == 0
)
ANY_BIAS = nct.Hypothesis(
    "a bias: none, free or decayed", lambda i: i.problem.bias_decay is None or float(i.problem.bias_decay) >= 0
)
DIM_SIMPLEX = nct.Hypothesis("d >= K-1", lambda i: min(i.problem.widths[:-1]) >= i.problem.classes - 1)
DIM_CLASSES = nct.Hypothesis("d >= K", lambda i: min(i.problem.widths[:-1]) >= i.problem.classes)
SQUARED_ERROR = nct.Hypothesis("squared error", lambda i: i.problem.loss.name == "mse")
FREE_FEATURES = nct.Hypothesis("free features", lambda i: i.problem.inputs is None)
