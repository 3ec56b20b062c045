"""What fit and balance of a linear head say of the variability before it, at any point of training."""

import jax
import numpy as np

from nctheory.engine import float64, untraced
from nctheory.networks._feed_forward import FeedForward
from nctheory.networks._train import TrainedNetworks


def has_linear_head(network: object) -> bool:
    """Whether this is a feed-forward network whose last two layers are linear, so that `linear_head_bounds` applies.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> [has_linear_head(nct.networks.network_on(mixture, (5, 5), linear=number)) for number in (1, 2)]
    [False, True]
    """
    return isinstance(network, FeedForward) and network.depth >= 2 and network.activations[-2] == "identity"


@untraced()
@float64
def linear_head_bounds(trained: TrainedNetworks) -> np.ndarray:
    r"""A bound on `trace_ratio` of the last features, on the training samples: one number a seed.

    With s the least singular value of $W_L$ that is not zero and $D=W_L^\top W_L-W_{L-1}W_{L-1}^\top$ the features before a
    linear head have
    $$|\mathrm{dev}\,Z_{L-1}|_F^2\le\frac1{s^2}|\mathrm{dev}\,Z_L|_F^2+|D|_2\,|\mathrm{dev}\,Z_{L-2}|_F^2,$$
    dev the part within classes (theorem `linear-head`). Divided by the samples, and by tr S_B of the same features, the right
    side bounds tr S_W / tr S_B, whatever the layers below are. NaN of a seed that did not stay finite; infinite where all
    class means are one, or the classifier is zero.

    Raises ValueError for networks whose last two layers are not linear, and where no seed stayed finite.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (5, 5), linear=2), seeds=2, steps=300)
    >>> bool((nct.networks.layer_metrics(ends).trace_ratio[:, -1] < linear_head_bounds(ends)).all())
    True
    """
    network = trained.network
    if not has_linear_head(network):
        raise ValueError(f"trained: expected networks whose last two layers are linear, got {network.described}")
    if not trained.finite.any():
        raise ValueError("trained: expected a seed whose training stayed finite, got none")
    found = np.full(len(trained.seeds), np.nan)
    members = np.eye(network.classes)[network.labels]  # N x K
    counts = members.sum(axis=0)
    for i in np.flatnonzero(trained.finite):
        point = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), trained.params)
        below, middle, above = (np.asarray(layer) for layer in network.layers(point)[-3:])
        means = middle @ (members[:, counts > 0] / counts[counts > 0])
        parts = [np.sum((z - (z @ members / np.maximum(counts, 1)) @ members.T) ** 2) for z in (below, above)]
        low, up = point.weights[-2:]
        singular = np.linalg.svd(up, compute_uv=False)
        # Singular values are known to rounding of the largest.
        kept = singular[singular > np.finfo(float).eps * max(up.shape) * singular.max()]
        imbalance = np.linalg.norm(up.T @ up - low @ low.T, ord=2)
        between = np.mean(np.sum((means - means.mean(axis=1, keepdims=True)) ** 2, axis=0))
        if kept.size == 0 or between == 0:
            found[i] = np.inf
            continue
        bound = parts[1] / kept.min() ** 2 + imbalance * parts[0]
        found[i] = bound / middle.shape[1] / between
    return found
