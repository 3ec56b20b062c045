"""Source and target classes: of a small mixture, and of one whose means share a subspace of a space full of noise."""

import dataclasses

import numpy as np

from nctheory import networks

SPREAD = 0.25
MIXTURE = networks.gaussian_mixture(counts=(9,) * 5, dim=6, spread=0.25, test=12, key=3)
SOURCE, TARGET = MIXTURE.only(0, 1), MIXTURE.only(2, 3, 4)
"""Samples 0 to 8 of each class are for training."""


def small_trunks():
    """Two networks with biases and hidden layers of 7, 6 and 5, trained on the source for a while."""
    network = networks.network_on(SOURCE, (7, 6, 5), weight_decay=0.01, bias=True)
    return networks.train(network, 2, steps=60)


def shared_subspace(key: int = 0, dim: int = 150, rank: int = 4, source: int = 10, target: int = 3):
    """Source and target: means on a sphere of `rank` dimensions, those of the target orthonormal, and noise in all of `dim`.

    Of two shots, a difference of two sample means has squared length 2 of signal and 150/16 of noise; within the subspace the
    noise is 4/16. Whoever knows the subspace tells the classes apart, and few shots do not tell it.
    """
    rng = np.random.default_rng([key, 5])
    basis = np.linalg.qr(rng.normal(size=(dim, rank)))[0]
    means = rng.normal(size=(source, rank))
    means = np.concatenate([means / np.linalg.norm(means, axis=1, keepdims=True), np.eye(rank)[:target]]) @ basis.T
    counts = (80,) * len(means)
    mixture = networks.gaussian_mixture(counts=counts, dim=dim, spread=SPREAD, key=key, test=30, means=means)
    return mixture.only(*range(source)), mixture.only(*range(source, source + target))


def without_meaning(data: networks.Data) -> networks.Data:
    """The same samples under labels that are independent of them."""
    return dataclasses.replace(data, labels=np.random.default_rng(1).permutation(data.labels))
