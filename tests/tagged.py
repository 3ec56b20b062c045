"""Multi-label models in which all sets of a size occur equally often."""

from itertools import combinations
from math import comb

import numpy as np

import nctheory as nct


def all_sets(classes, copies):
    return [one for m, n in copies.items() for one in combinations(range(classes), m) for _ in range(n)]


def model(classes, copies, decay=(0.03, 0.02), dim=None, bias: float | None = None):
    return nct.multi_label_features(
        tags=all_sets(classes, copies), dim=dim or classes, weight_decay=decay, bias=bias, classes=classes
    )


def samples_of(classes, copies):
    return np.array([copies.get(m, 0) * comb(classes, m) for m in range(1, classes)], dtype=float)


def onset(classes, copies):
    """The threshold as printed: N^2 lambda_W lambda_H = sum_m N_m m (K-m)/(K(K-1))."""
    m, n = np.arange(1, classes), samples_of(classes, copies)
    return np.sqrt(np.sum(n * m * (classes - m)) / (classes * (classes - 1))) / n.sum()
