"""What fit and balance of a linear head say of the variability before it, at any point of training."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import float64, untraced
from nctheory.networks._feed_forward import FeedForward
from nctheory.networks._models import ConvNet, ResidualMLP, Transformer
from nctheory.networks._modules import ModuleNetwork, applied
from nctheory.networks._train import TrainedNetworks


class _Head(NamedTuple):
    """The last features h = low a + constants, and the logits z = up h + constants, one column a sample."""

    below: np.ndarray
    """a: what enters all that writes the features, one below the other."""
    features: np.ndarray
    logits: np.ndarray
    low: np.ndarray
    up: np.ndarray


def has_linear_head(network: object) -> bool:
    """Whether linear layers alone write the features that the head reads, so that `linear_head_bounds` applies.

    So it is in feed-forward networks and convolutions whose last two layers are linear, in residual blocks and transformers.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> [has_linear_head(nct.networks.network_on(mixture, (5, 5), linear=number)) for number in (1, 2)]
    [False, True]
    >>> has_linear_head(nct.networks.module_on(mixture, nct.networks.ResidualMLP(4, 1, 3, 2)))
    True
    """
    if isinstance(network, FeedForward):
        return network.depth >= 2 and network.activations[-2] == "identity"
    if not isinstance(network, ModuleNetwork):
        return False
    make = network.make
    return isinstance(make, ResidualMLP | Transformer) or (isinstance(make, ConvNet) and make.linear >= 2)


@untraced()
@float64
def linear_head_bounds(trained: TrainedNetworks) -> np.ndarray:
    r"""A bound on `trace_ratio` of the last features, on the training samples: one number a seed.

    With s the least singular value of $W_L$ that is not zero and $D=W_L^\top W_L-W_{L-1}W_{L-1}^\top$ the features before a
    linear head have
    $$|\mathrm{dev}\,Z_{L-1}|_F^2\le\frac1{s^2}|\mathrm{dev}\,Z_L|_F^2+|D|_2\,|\mathrm{dev}\,Z_{L-2}|_F^2,$$
    dev the part within classes (theorem `linear-head`). Divided by the samples, and by tr S_B of the same features, the right
    side bounds tr S_W / tr S_B, whatever the layers below are. In residual blocks and transformers all kernels that write into
    the stream, that of the embedding among them, are one layer $W_{L-1}$, and $Z_{L-2}$ is all that enters them, its mean over
    positions where there are several (theorem `module-linear-head`). NaN of a seed that did not stay finite; infinite where
    all class means are one, or the classifier is zero.

    Raises ValueError for networks whose features no linear layer writes, and where no seed stayed finite.

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
        head = _head_of(network, point)
        means = head.features @ (members[:, counts > 0] / counts[counts > 0])
        within = [
            np.sum((z - (z @ members / np.maximum(counts, 1)) @ members.T) ** 2) for z in (head.below, head.logits)
        ]
        singular = np.linalg.svd(head.up, compute_uv=False)
        # Singular values are known to rounding of the largest.
        kept = singular[singular > np.finfo(float).eps * max(head.up.shape) * singular.max()]
        imbalance = np.linalg.norm(head.up.T @ head.up - head.low @ head.low.T, ord=2)
        between = np.mean(np.sum((means - means.mean(axis=1, keepdims=True)) ** 2, axis=0))
        if kept.size == 0 or between == 0:
            found[i] = np.inf
            continue
        bound = within[1] / kept.min() ** 2 + imbalance * within[0]
        found[i] = bound / len(members) / between
    return found


def _head_of(network: Any, point: Any) -> _Head:
    """The head of a network with what writes its features, at one point."""
    below, features, logits = (np.asarray(layer) for layer in network.layers(point)[-3:])
    if isinstance(network, FeedForward):
        low, up = point.weights[-2:]
        return _Head(below, features, logits, low, up)
    up = np.asarray(point["head"]["kernel"]).T
    if isinstance(network.make, ConvNet):
        return _Head(below, features, logits, point["tail"][network.make.linear - 2]["kernel"].T, up)
    entering = applied(network.make, point, lambda module: module.entering_writers(jnp.asarray(network.inputs)))
    kernels = [point["embedding"]["kernel"]]
    for i in range(network.make.blocks):
        block = point["blocks"][i]
        if isinstance(network.make, Transformer):
            kernels.append(np.reshape(block["attention"]["out"]["kernel"], (-1, network.make.width)))
        kernels.append(block["down"]["kernel"])
    below = np.concatenate([np.asarray(x).T for x in entering])
    return _Head(below, features, logits, np.concatenate(kernels).T, up)
