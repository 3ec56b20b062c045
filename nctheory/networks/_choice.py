"""Which layer to fine-tune: the collapse of a few target samples, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nctheory.engine import untraced
from nctheory.measures import as_numpy, read_labels


@untraced()
def few_shot_variability(features: Any, labels: Any) -> float:
    r"""How far few samples, N x d with one row a sample, are from collapse in the directions that tell their classes apart.

    For a sample h of class k and another class j, with $\hat\mu_k^{-}$ the mean of the class without that sample,

    $$m=|h-\hat\mu_j|^2-|h-\hat\mu_k^{-}|^2,\qquad q=\mathrm{mean}_{k\ne j}\ \frac{V_{kj}}{V_{kj}+M_{kj}^2},$$

    where M and V are mean and variance of m over the samples of class k, and the term is 1 where M <= 0. The nearest class
    mean takes a sample for one of class j exactly where m < 0, which the one-sided inequality of Chebyshev (Cantelli) bounds
    by V/(V + M^2) at the true moments of m. So q, from 0 at collapse to 1, estimates a bound on few-shot error, and it needs
    no other samples than the shots. With many of them $m\to|\mu_k-\mu_j|^2+2(h-\mu_k)^\top(\mu_k-\mu_j)$ up to constants,
    and $V/M^2\to4$ times the directional CDNV of `nc_metrics`. Total variances (trace ratio, CDNV) will not do: what
    varies across the line between two means does no harm, and deep layers have little of it even where they confuse classes.

    Raises ValueError, naming the argument, for a class with fewer than two samples and for features that are not finite.

    >>> few_shot_variability([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1])
    0.0
    >>> few_shot_variability([[0.0], [1.0], [0.0], [1.0]], [0, 0, 1, 1])
    1.0
    """
    x = as_numpy("features", features).astype(np.float64)
    if x.ndim != 2 or 0 in x.shape or not np.all(np.isfinite(x)):
        raise ValueError(f"features: expected finite numbers, N x d, one row a sample, got shape {x.shape}")
    y = read_labels(labels, len(x))
    counts = np.bincount(y)
    if counts.size < 2 or counts.min() < 2:
        raise ValueError(f"labels: expected two samples or more of two classes or more, got {counts.tolist()}")
    x = x - x.mean(axis=0)
    means = np.stack([x[y == k].mean(axis=0) for k in range(counts.size)])
    terms = []
    for k, number in enumerate(counts):
        own = x[y == k]
        # h less the mean of the others of its class is n/(n - 1) times h less the mean of all.
        near = np.sum((own - means[k]) ** 2, axis=1) * (number / (number - 1.0)) ** 2
        for j in np.flatnonzero(np.arange(counts.size) != k):
            margins = np.sum((own - means[j]) ** 2, axis=1) - near
            mean, spread = float(np.mean(margins)), float(np.var(margins, ddof=1))
            terms.append(spread / (spread + mean**2) if mean > 0 else 1.0)
    return float(np.mean(terms))


def chosen_layer(variabilities: Sequence[float] | np.ndarray) -> int:
    """The weight layer to be trained, from the variabilities of Z_0, …, Z_{L-1}: the one above the best features, or L-1.

    Let Z_s be the features of least variability. The layers up to s have brought the target classes apart, and stay as they
    are; layer s+1 is the first that lets go of what it is given, and every layer above has less to work with, while training
    one below s undoes what is good. Where no layer lets go (s = L-1), the last hidden layer is trained: the usual choice.

    >>> chosen_layer([0.2, 0.4, 0.5]), chosen_layer([0.5, 0.3, 0.4]), chosen_layer([0.5, 0.3, 0.1])
    (1, 2, 2)
    """
    return min(int(np.argmin(variabilities)) + 1, len(variabilities) - 1)
