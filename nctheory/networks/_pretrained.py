"""Pretrained networks, checked against the data that they are to be moved to."""

import jax
import numpy as np

from nctheory.networks._data import Data
from nctheory.networks._feed_forward import FeedForward
from nctheory.networks._modules import ModuleNetwork
from nctheory.networks._train import TrainedNetworks
from nctheory.networks._tuned_modules import layer_arrays
from nctheory.problems import Params

Pretrained = FeedForward | ModuleNetwork
"""The kinds of networks whose layers can be told apart."""


def checked_network(trained: TrainedNetworks, data: Data) -> Pretrained:
    """The networks' form, if `data` can be read by them."""
    network = trained.network
    if not isinstance(network, Pretrained):
        raise ValueError(f"trained: expected feed-forward networks or modules, got {type(network).__name__}")
    if depth_of(network) < 2:
        raise ValueError("trained: expected a network with a hidden layer, got a linear classifier")
    if isinstance(network, ModuleNetwork):
        _check_head(network)
    if data.labels.ndim != 1:
        raise ValueError("data: expected one label a sample, got tags")
    if len(data.test_labels) == 0:
        raise ValueError("data: expected a test set, got none")
    check_samples("data", network, data)
    if data.classes < 2 or min(data.counts) == 0:
        raise ValueError(f"data: expected samples of every class and two classes or more, got {data.counts}")
    if not trained.finite.any():
        raise ValueError("trained: expected a seed whose training stayed finite, got none")
    return network


def check_samples(name: str, network: Pretrained, data: Data) -> None:
    """ValueError for samples of another size than those of pretraining."""
    shape = data.inputs.shape[1:]
    if isinstance(network, ModuleNetwork):
        if shape != network.sample_shape:
            raise ValueError(
                f"{name}: expected samples of shape {network.sample_shape}, as in pretraining, got {shape}"
            )
        return
    numbers = int(np.prod(shape))
    if numbers != network.widths[0]:
        raise ValueError(f"{name}: expected {network.widths[0]} numbers a sample, as in pretraining, got {numbers}")


def _check_head(network: ModuleNetwork) -> None:
    """ValueError for a module that cannot be given another head."""
    if network.head_name is None:
        raise ValueError(
            "trained: expected modules with a linear head, for other classes get one of their own; got head=None in module_on"
        )
    leaves = jax.tree_util.tree_leaves_with_path(network.init(jax.random.key(0), 1.0))
    own = {i for i, (path, _) in enumerate(leaves) if getattr(path[0], "key", None) == network.head_name}
    if own != set(layer_arrays(network)[-1]):
        raise ValueError(
            f"trained: expected modules whose head ({network.head_name!r}) is all that the logits need beside the features, "
            "and is needed by nothing else"
        )


def depth_of(network: Pretrained) -> int:
    """The number of layers L, the head included."""
    return len(network.layer_names)


def finite_points(trained: TrainedNetworks) -> list[tuple[int, Params]]:
    """The number and the parameters of each seed that tells something."""
    rows = np.flatnonzero(trained.finite)
    return [(int(trained.seeds[i]), jax.tree.map(lambda x, i=i: np.asarray(x[i]), trained.params)) for i in rows]
