"""Instances with several labels a sample: every set of m of the K tags occurs equally often, for each m that occurs."""

from itertools import combinations
from math import comb

import numpy as np

import nctheory as nct
from proofs_numeric.shallow.strength import decay_ratio

# (K, d, copies of every set of m tags, whether there is a bias), in groups of equal K, d, number of samples and kind of bias.
SMALL = (
    (2, 1, ({1: 4},), False),
    (2, 3, ({1: 1},), True),
    (3, 2, ({1: 2, 2: 1}, {1: 1, 2: 2}, {2: 3}), True),
)
MIDDLE = (
    (4, 3, ({1: 2, 2: 1}, {1: 1, 2: 1, 3: 1}), True),
    (4, 5, ({2: 2}, {1: 1, 3: 2}, {1: 3}, {1: 2, 3: 1}), True),
)
LARGE = (
    (5, 5, ({1: 2, 3: 1}, {1: 1, 2: 1, 4: 1}), True),
    (6, 7, ({1: 2, 2: 2, 5: 1}, {1: 1, 2: 2, 5: 2}), False),
    (5, 4, ({2: 20, 3: 4}, {1: 8, 3: 20}), False),
)


def instance(rng, classes, dim, copies, relative, bias):
    """The instance with lambda = `relative` times the onset."""
    samples = {m: n * comb(classes, m) for m, n in copies.items()}
    squared = sum(number * m * (classes - m) for m, number in samples.items()) / (classes * (classes - 1))
    lam, root = relative * np.sqrt(squared) / sum(samples.values()), np.sqrt(decay_ratio(rng, relative))
    decay = (float(lam * root), float(lam / root))
    tags = [one for m, n in copies.items() for one in combinations(range(classes), m) for _ in range(n)]
    problem = nct.multi_label_features(tags=tags, dim=dim, weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "copies": ", ".join(f"{n} x {m} tags" for m, n in copies.items())}
    shown |= {"lambda_W": decay[0], "lambda_H": decay[1], "bias": "none" if bias is None else float(bias)}
    shown |= {"multiplicities": len(copies), "most tags": max(copies), "relative": float(relative)}
    return nct.Instance(problem, shown)
