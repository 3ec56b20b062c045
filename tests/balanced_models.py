"""Balanced models of one strength."""

import numpy as np

import nctheory as nct


def balanced(loss, classes, n, dim, strength, bias=None, ratio=1.0):
    """The balanced model with kappa = sqrt(n lambda_W lambda_H) = `strength`."""
    root = strength / np.sqrt(n)
    return nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss=loss, weight_decay=(root * ratio, root / ratio), bias=bias
    )
